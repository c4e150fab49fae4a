// The verify page's side of the engine: the parity suite runs in this worker.
import { type WebGPUBackend, webgpuBackend } from "../../src/backend/webgpu/backend.ts";
import { countRows, type ParityRow, verify } from "../../src/verify/parity.ts";
import { records } from "../../src/verify/records.ts";
import { adapterReport, keepVerdicts } from "../../src/verify/report.ts";
import { serve } from "../shell/channel.ts";

export interface Events {
  row: ParityRow;
  /** The device was lost. */
  lost: { readonly message: string };
}

let backend: WebGPUBackend | undefined;
let stopped = false;
/** Resolves when a pause is over. */
let pause: { readonly over: Promise<void>; readonly end: () => void } | undefined;

const opsOf = (names: readonly string[]) =>
  names.length === 0 ? records : records.filter((op) => names.includes(op.name));

function resume(): void {
  pause?.end();
  pause = undefined;
}

const methods = {
  async open() {
    const opened = await webgpuBackend();
    backend = opened;
    void opened.lost.then(({ message }) => {
      if (backend === opened) backend = undefined;
      emit("lost", { message });
    });
    const { name, software } = opened.facts;
    const excluded = [...opened.excluded.keys()];
    return { ...adapterReport(opened), name, software, excluded, ops: records.map((op) => op.name) };
  },

  /** How many checks a run over these ops has. */
  count: (names: readonly string[]): number => countRows(backend!, opsOf(names)),

  /** Runs to the end or until it is stopped, and keeps what is wrong: true at the end. */
  async run(names: readonly string[]): Promise<boolean> {
    if (!backend) await methods.open();
    const device = backend!;
    stopped = false;
    const rows = await verify(device, opsOf(names), {
      onRow: (row) => emit("row", row),
      goOn: async () => {
        await pause?.over;
        return !stopped;
      },
    });
    // A suite that was stopped has not cleared the kernels that it found nothing wrong with.
    await keepVerdicts(device, stopped ? rows.filter((row) => !row.pass) : rows);
    return !stopped;
  },

  pause(): void {
    if (pause) return;
    let end = () => {};
    const over = new Promise<void>((resolve) => {
      end = resolve;
    });
    pause = { over, end };
  },
  resume,
  stop(): void {
    stopped = true;
    resume();
  },
};

export type VerifyApi = typeof methods;
const emit = serve<Events>(methods);
