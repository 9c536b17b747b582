// What users of OpenAI's and Replicate's own Node clients do, and of Vercel's AI SDK through its providers for both:
// `node node_clients.mjs FOLDER URL KEY` prints one JSON object of what came back.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, url, apiKey] = process.argv.slice(2);
const packages = createRequire(`${folder}/`);
const load = (name) => import(pathToFileURL(packages.resolve(name)));
const baseURL = `${url}/v1`;
const asked = { prompt: "a red apple on a blue background", size: "128x128" };

const { default: OpenAI, toFile } = await load("openai");
const openai = new OpenAI({ apiKey, baseURL });
const made = (await openai.images.generate({ model: "flux-nano", ...asked })).data[0].b64_json;
const file = await toFile(Buffer.from(made, "base64"), "picture.png", { type: "image/png" });
const edited = (await openai.images.edit({ model: "flux-nano", image: [file, file], ...asked })).data[0].b64_json;
const events = [];
for await (const event of await openai.images.generate({ model: "flux-nano", ...asked, stream: true })) events.push(event.type);
const models = (await openai.models.list()).data.map((model) => model.id);
const refused = await openai.images.generate({ model: "none", ...asked }).catch((error) => error.status);

const { default: Replicate } = await load("replicate");
const replicate = new Replicate({ auth: apiKey, baseUrl: baseURL });
const input = { prompt: asked.prompt, width: 128, height: 128 };
const output = await replicate.run("darkroom/flux-nano", { input });
const begun = await replicate.predictions.create({ model: "darkroom/flux-nano", input });
const { status } = await replicate.wait(begun, { interval: 200 });

const { generateImage } = await load("ai");
const providers = [
  (await load("@ai-sdk/openai")).createOpenAI({ baseURL, apiKey }).image("flux-nano"),
  (await load("@ai-sdk/openai-compatible")).createOpenAICompatible({ name: "darkroom", baseURL, apiKey }).imageModel("flux-nano"),
  (await load("@ai-sdk/replicate")).createReplicate({ baseURL, apiToken: apiKey }).image("darkroom/flux-nano"),
];
const drawn = [];
for (const model of providers) drawn.push((await generateImage({ model, ...asked })).image.base64);

console.log(JSON.stringify({ pictures: [made, edited, ...drawn], events, models, refused, address: String(output), status }));
