import { h, newId } from "./dom.ts";

/** A labelled control with a line that explains it and a place for what is wrong with its value. */
export interface Field<T> {
  readonly element: HTMLElement;
  readonly input: HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement;
  value: T;
  /** Shows what is wrong, or nothing. */
  wrong(message: string | undefined): void;
}

interface FieldOptions {
  readonly label: string;
  /** One sentence: what it does. */
  readonly say?: string;
  readonly id?: string;
  /** Below the label rather than beside it. */
  readonly wide?: boolean;
}

type Control = HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement;

function field<T>(
  options: FieldOptions,
  input: Control,
  read: () => T,
  write: (value: T) => void,
  kind = "",
): Field<T> {
  input.id = options.id ?? newId("field");
  const say = options.say ? h("p", { class: "say", id: `${input.id}-say` }, options.say) : null;
  const wrong = h("p", { class: "wrong", id: `${input.id}-wrong`, hidden: true });
  input.setAttribute("aria-describedby", `${say ? `${say.id} ` : ""}${wrong.id}`);
  const element = h(
    "div",
    { class: `field ${kind} ${options.wide ? "wide" : ""}` },
    h("label", { for: input.id }, options.label),
    input,
    say,
    wrong,
  );
  return {
    element,
    input,
    get value() {
      return read();
    },
    set value(value: T) {
      write(value);
    },
    wrong(message) {
      wrong.textContent = message ?? "";
      wrong.hidden = !message;
      input.toggleAttribute("aria-invalid", false);
      if (message) input.setAttribute("aria-invalid", "true");
    },
  };
}

export interface NumberOptions extends FieldOptions {
  readonly value: number;
  readonly min?: number;
  readonly max?: number;
  /** "any" by default. */
  readonly step?: number;
  /** Called with every value that lies in the range; a value outside is explained at the field. */
  readonly onChange?: (value: number) => void;
}

export function numberField(options: NumberOptions): Field<number> {
  const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY, step, onChange } = options;
  const input = h("input", {
    type: "number",
    value: String(options.value),
    step: step ? String(step) : "any",
  });
  if (Number.isFinite(min)) input.min = String(min);
  if (Number.isFinite(max)) input.max = String(max);
  const result: Field<number> = field(
    options,
    input,
    () => input.valueAsNumber,
    (value) => {
      input.value = String(value);
    },
  );
  input.addEventListener("change", () => {
    const value = input.valueAsNumber;
    const fits = value >= min && value <= max && (step === undefined || step % 1 !== 0 || value % 1 === 0);
    const range = Number.isFinite(max) ? `from ${min} to ${max}` : `of at least ${min}`;
    result.wrong(fits ? undefined : `Use a ${step === 1 ? "whole number" : "number"} ${range}.`);
    if (fits) onChange?.(value);
  });
  return result;
}

type Choice<T extends string> = readonly [value: T, label: string];

export interface SelectOptions<T extends string> extends FieldOptions {
  /** A choice, or a group of them under a title. */
  readonly options: readonly (Choice<T> | readonly [title: string, choices: readonly Choice<T>[]])[];
  readonly value: T;
  readonly onChange?: (value: T) => void;
}

export function selectField<T extends string>(options: SelectOptions<T>): Field<T> {
  const option = (value: string, label: string) =>
    h("option", { value, selected: value === options.value }, label);
  const input = h(
    "select",
    {},
    options.options.map(([value, label]) =>
      typeof label === "string"
        ? option(value, label)
        : h(
            "optgroup",
            { label: value },
            label.map((choice) => option(...choice)),
          ),
    ),
  );
  const result = field<T>(
    options,
    input,
    () => input.value as T,
    (value) => {
      input.value = value;
    },
  );
  input.addEventListener("change", () => options.onChange?.(input.value as T));
  return result;
}

export interface CheckOptions extends FieldOptions {
  readonly value: boolean;
  readonly onChange?: (value: boolean) => void;
}

export function checkField(options: CheckOptions): Field<boolean> {
  const input = h("input", { type: "checkbox", checked: options.value });
  input.addEventListener("change", () => options.onChange?.(input.checked));
  return field(
    options,
    input,
    () => input.checked,
    (value) => {
      input.checked = value;
    },
    "check",
  );
}
