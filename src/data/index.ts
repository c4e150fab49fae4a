export { type ArrayDataset, arrays, residentArrays } from "./arrays.ts";
export { CIFAR10_CLASSES, type NamedBytes, parseCifar10 } from "./cifar10.ts";
export * from "./dataset.ts";
export { type ResidentData, residentImages } from "./resident.ts";
export { SHAPE_CLASSES, type ShapesOptions, shapes } from "./shapes.ts";
export { type Batch, type Batches, type BatchSource, type Fits, type Stream, stream } from "./stream.ts";
