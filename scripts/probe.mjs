// Prints the adapter that Dawn finds as one line of JSON, or fails: with 1 if there is none, with 2 if Dawn cannot be loaded.
//
// A process of its own: the driver's environment variables count only at start, and a bad driver can crash.
const { create } = await import("webgpu").catch((error) => fail(2, error.message));
globalThis.gpuInstance = create([]); // Dawn crashes when this object is collected

const adapter = await globalThis.gpuInstance.requestAdapter();
if (!adapter) fail(1, "Dawn finds no adapter");

const { vendor, architecture, device, description } = adapter.info;
console.log(JSON.stringify({ vendor, architecture, device, description }));
process.exit(0);

function fail(code, message) {
  console.error(message);
  process.exit(code);
}
