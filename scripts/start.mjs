// `npm start`: trains a small model on the shapes data set, on the GPU, or on the CPU reference where there is none.
// More arguments go to the command: npm start -- --epochs 2, or npm start -- --resume runs/start
const where = process.env.DESCENT_NO_ADAPTER ? ["--backend", "cpu", "--model", "tiny"] : ["--model", "cnn"];
const anew = ["--dataset", "shapes", ...where, "--out", "runs/start", "--overwrite"];
const run = ["train", ...(process.argv.includes("--resume") ? [] : anew)];

process.argv.splice(2, 0, ...run);
console.log(`descent ${process.argv.slice(2).join(" ")}`);
await import("../dist/cli.js");
