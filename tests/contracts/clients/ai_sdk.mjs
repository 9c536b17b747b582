// What a user of Vercel's AI SDK does: `node ai_sdk.mjs FOLDER URL KEY` prints one JSON object of what came back.
// FOLDER holds node_modules with `ai`, and with both kinds of @ai-sdk/black-forest-labs as `bfl-1` and `bfl-2`.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, url, apiKey] = process.argv.slice(2);
const packages = createRequire(`${folder}/`);
const load = (name) => import(pathToFileURL(packages.resolve(name)));

const { generateImage } = await load("ai");
const settings = { baseURL: `${url}/v1`, apiKey };
const prompt = "a red apple on a blue background";

// 1.x, through the SDK's own function.
const one = (await load("bfl-1")).createBlackForestLabs(settings);
const { image } = await generateImage({ model: one.image("flux-dev"), prompt, seed: 7, size: "256x256" });

// 2.x, which downloads from its own origin alone: the call that the SDK's newest function makes of a model.
const two = (await load("bfl-2")).createBlackForestLabs(settings);
const call = { prompt, n: 1, size: undefined, aspectRatio: "1:1", seed: 7, files: undefined, mask: undefined, providerOptions: {} };
const { images, providerMetadata } = await two.image("flux-2-pro").doGenerate(call);

let refused = "";
try {
  await two.image("flux-2-pro").doGenerate({ ...call, prompt: " " });
} catch (error) {
  refused = error.message;
}
const base64 = (data) => (typeof data === "string" ? data : Buffer.from(data).toString("base64"));
console.log(JSON.stringify({ one: image.base64, two: base64(images[0]), about: providerMetadata, refused }));
