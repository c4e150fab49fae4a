import { tmpdir } from "node:os";
import { join } from "node:path";
import { gpu, loadModel, Model, nn } from "../../../src/node.ts";

const device = await gpu();
const network = () => nn.sequential(nn.linear({ in: 4, out: 8 }), nn.relu(), nn.linear({ in: 8, out: 3 }));
const model = new Model(device, network(), { seed: 7, labels: ["setosa", "versicolor", "virginica"] });

const path = join(tmpdir(), "iris.safetensors");
await model.save(path); // PyTorch: model.load_state_dict(load_file(path)); in a page: await model.encode()

const same = new Model(device, network());
await same.load(path); // or a file that PyTorch wrote: save_file(model.state_dict(), path)
const made = await loadModel(device, path); // the file says what the network is

const row = [5.1, 3.5, 1.4, 0.2];
console.log((await same.classify(row))[0]?.label, (await made.classify(row))[0]?.label);
