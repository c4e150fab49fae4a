/** Numbers of a row that a step leaves: x, y, cost, status. */
export const ROW = 4;
/** A race ends here by itself: enough for the slowest landscape, and for curves that stay readable. */
export const LAST_STEP = 3000;

/** A path: rows from the first step on, and how many there are. */
export interface Path {
  readonly rows: Float32Array;
  steps: number;
}

/** Costs over the part of the plane that a landscape shows. */
export interface HeightMap {
  /** Row by row from the top; `side` × `side`, on the corners of the cells. */
  readonly values: Float32Array;
  readonly side: number;
}
