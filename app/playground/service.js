// The service over HTTP, as any client of Black Forest Labs' API speaks it. Knows nothing of the page.

const POLL_EVERY_MS = 250;

/** The service refused, failed or could not be reached; the message is for a person. */
export class ServiceError extends Error {}

/** Submits one picture and returns its polling address. */
export async function submit(model, key, body) {
  const answer = await send(`/v1/${model}`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-key": key },
    body: JSON.stringify(body),
  });
  return (await read(answer)).polling_url;
}

/** Yields the state of a picture until it is ready; throws ServiceError when it failed. */
export async function* follow(pollingUrl) {
  while (true) {
    const state = await read(await send(onThisOrigin(pollingUrl)));
    if (state.status !== "Pending" && state.status !== "Ready") {
      throw new ServiceError(reason(state));
    }
    yield state;
    if (state.status === "Ready") {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_EVERY_MS));
  }
}

/** The finished picture's bytes. Its address expires, so the page keeps the bytes. */
export async function fetchPicture(sampleUrl) {
  const answer = await send(onThisOrigin(sampleUrl));
  if (!answer.ok) {
    throw new ServiceError(`The picture could not be fetched (HTTP ${answer.status}).`);
  }
  return answer.blob();
}

/** The caller's account; null where callers without a key are not served. */
export async function account(key) {
  const answer = await send("/v1/account", { headers: key ? { "x-key": key } : {} });
  return !key && answer.status === 401 ? null : read(answer);
}

/** Links name the service's public address; this page may have been opened under another name of the same service. */
function onThisOrigin(url) {
  const { pathname, search } = new URL(url, location.href);
  return pathname + search;
}

async function send(url, options) {
  try {
    return await fetch(url, options);
  } catch (error) {
    throw new ServiceError("The service cannot be reached.", { cause: error });
  }
}

async function read(answer) {
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    const words = typeof body.detail === "string" ? body.detail : body.message;
    throw new ServiceError(words ?? `The service answered HTTP ${answer.status}.`);
  }
  return body;
}

function reason(state) {
  const words = state.details?.message ?? (state.details ? JSON.stringify(state.details) : "no reason given");
  return `${state.status}: ${words}`;
}
