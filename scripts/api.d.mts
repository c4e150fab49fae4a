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
