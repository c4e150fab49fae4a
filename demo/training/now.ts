/** Looking takes at most about one part in this many of the time. */
const LOOK_SHARE = 8;

/** Something done now and then between steps: not sooner than `least` ms, nor so often that it slows training down. */
export class Now {
  private due = 0;
  constructor(private readonly least: number) {}

  async andThen(task: () => Promise<void>): Promise<void> {
    const start = performance.now();
    if (start < this.due) return;
    await task();
    const end = performance.now();
    this.due = end + Math.max(this.least, LOOK_SHARE * (end - start));
  }
}
