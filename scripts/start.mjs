// `npm start`: trains a small model on the shapes data set, on the GPU, or on the CPU reference where there is none.
// More arguments go to the command: npm start -- --epochs 2
const where = process.env.DESCENT_NO_ADAPTER ? ["--backend", "cpu", "--model", "tiny"] : ["--model", "cnn"];
const run = ["train", "--dataset", "shapes", ...where, "--out", "runs/start"];

process.argv.splice(2, 0, ...run);
console.log(`descent ${process.argv.slice(2).join(" ")}`);
await import("../dist/cli.js");
