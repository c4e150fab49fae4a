/** The reference of what a folder of declarations exports, as Markdown. */
export function reference(folder: string): string;
/** What is exported without a docstring. */
export function undocumented(folder: string): string[];
/** Types that an exported signature names and that nobody can import. */
export function unnamed(folder: string): string[];
/** What a page shows of a tested file. */
export function shown(file: string): string;
/** A page with the tested programs put in where its comments name them. */
export function assembled(page: string): string;
/** A page as `npm run format` leaves it. */
export function formatted(page: string, text: string): string;
/** The pages that show tested programs. */
export const PAGES: readonly string[];
/** Something exported, with its declarations. */
export interface PublicName {
  /** `nn.linear`. */
  readonly path: string;
  readonly file: string;
  readonly doc: string;
  /** Its declarations, one for each overload. */
  readonly texts: readonly string[];
}
/** Everything public, in the order of the entries. */
export function publicNames(folder: string): {
  readonly browser: readonly PublicName[];
  readonly node: readonly PublicName[];
};
