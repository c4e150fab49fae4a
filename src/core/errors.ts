/**
 * Errors that a user is meant to read: one sentence that names the value, shape, file or limit, and says what to do.
 *
 * The command line prints the message alone and exits with 1; anything that is not a DescentError is a bug in Descent.
 */
export class DescentError extends Error {
  override name = "DescentError";
}

/** Shapes, dtypes or attributes that do not fit an operation or a layer. */
export class ShapeError extends DescentError {
  override name = "ShapeError";
}

/** No adapter, a limit of the adapter, or a lost device. */
export class DeviceError extends DescentError {
  override name = "DeviceError";
}

/** A data set that is missing, truncated, misaligned or damaged. */
export class DataError extends DescentError {
  override name = "DataError";
}

/** A checkpoint that is damaged or belongs to another model. */
export class CheckpointError extends DescentError {
  override name = "CheckpointError";
}

/** A file or folder that cannot be written. */
export class FileError extends DescentError {
  override name = "FileError";
}

/** An option, a hyperparameter or a setting with a value that cannot work. */
export class OptionError extends DescentError {
  override name = "OptionError";
}

/** Training produced numbers that are not finite. */
export class NonFiniteError extends DescentError {
  override name = "NonFiniteError";
}
