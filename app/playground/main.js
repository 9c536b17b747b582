// The page: reads the form, follows one picture at a time, and keeps the finished ones on a shelf.

import { account, fetchPicture, follow, ServiceError, submit } from "./service.js";
import { Shelf } from "./shelf.js";

const order = document.querySelector("#order");
const button = order.querySelector("button");
const print = document.querySelector("#print");
const progress = document.querySelector("#progress");
const status = document.querySelector("#status");
const balance = document.querySelector("#credits");
const shelf = new Shelf(document.querySelector("#shelf"), show);

function restoreKey() {
  const given = new URLSearchParams(location.hash.slice(1)).get("key");
  if (given) {
    sessionStorage.setItem("key", given);
    history.replaceState(null, "", location.pathname + location.search);
  }
  order.elements.key.value = sessionStorage.getItem("key") ?? "";
}

function limitSizes() {
  const { max } = order.elements.model.selectedOptions[0].dataset;
  order.elements.width.max = max;
  order.elements.height.max = max;
}

/** The request's body: only what was filled in, so that the service chooses the rest. */
function bodyOf(form) {
  const body = { prompt: form.prompt.value.trim(), output_format: "png" };
  for (const name of ["seed", "width", "height"]) {
    if (form[name].value !== "") {
      body[name] = form[name].valueAsNumber;
    }
  }
  return body;
}

async function develop() {
  const form = order.elements;
  const model = form.model.value;
  const pollingUrl = await submit(model, form.key.value.trim(), bodyOf(form));
  sessionStorage.setItem("key", form.key.value.trim());
  for await (const state of follow(pollingUrl)) {
    say(state.status === "Ready" ? "Fixing…" : "Developing…");
    if (state.progress !== null) {
      progress.value = state.progress;
    }
    if (state.status === "Ready") {
      const { sample, prompt, seed } = state.result;
      const address = URL.createObjectURL(await fetchPicture(sample));
      const picture = { address, prompt, seed, model };
      shelf.add(picture);
      show(picture);
    }
  }
}

function show(picture) {
  const image = new Image();
  image.src = picture.address;
  image.alt = picture.prompt;
  print.replaceChildren(image);
  const save = document.createElement("a");
  save.href = picture.address;
  save.download = `${picture.model}-${picture.seed}.png`;
  save.textContent = "Save";
  say(picture.prompt, `${picture.model}, seed ${picture.seed}`, save);
  shelf.mark(picture);
}

function say(...parts) {
  status.classList.remove("failed");
  status.replaceChildren(
    ...parts.map((part) => {
      const span = document.createElement("span");
      span.append(part);
      return span;
    }),
  );
}

async function showBalance() {
  const caller = await account(order.elements.key.value.trim());
  balance.textContent = caller === null ? "" : standing(caller).join(", ");
}

/** What the caller may still spend: free images of today, credits, or both. */
function standing({ credits, free }) {
  const parts = free.slice(0, 1).map((day) => `${day.remaining} of ${day.limit} free images left today`);
  if (credits !== null) {
    parts.push(`${credits.toLocaleString(undefined, { maximumFractionDigits: 2 })} credits`);
  }
  return parts;
}

/** Shows what went wrong at the service; a mistake of this page's own stays an error. */
function report(error) {
  if (!(error instanceof ServiceError)) {
    throw error;
  }
  say(error.message);
  status.classList.add("failed");
}

order.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  progress.hidden = false;
  progress.removeAttribute("value");
  say("In the tray…");
  try {
    await develop();
    await showBalance();
  } catch (error) {
    report(error);
  } finally {
    button.disabled = false;
    progress.hidden = true;
  }
});
order.elements.prompt.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    order.requestSubmit(button);
  }
});
order.elements.model.addEventListener("change", limitSizes);
order.elements.key.addEventListener("change", () => showBalance().catch(report));

restoreKey();
limitSizes();
showBalance().catch(report);
