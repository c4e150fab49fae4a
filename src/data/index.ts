export { CIFAR10_CLASSES, parseCifar10 } from "./cifar10.ts";
export * from "./dataset.ts";
export { type Normalization, type ResidentData, residentArrays, residentImages } from "./resident.ts";
export { SHAPE_CLASSES, shapes } from "./shapes.ts";
