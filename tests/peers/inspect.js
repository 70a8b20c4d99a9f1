// Reads one request as the public libraries read it, and notes all that is wrong.

"use strict";

const { CloudEvent, HTTP } = require("cloudevents");
const { Webhook } = require("standardwebhooks");

const SOURCE = "//global.api.greenlake.hpe.com/audit-log";
const TYPE = "com.hpe.greenlake.audit-log.v1.logs.created";

const MODES = {
  structured: "application/cloudevents+json; charset=utf-8",
  binary: "application/json",
  batch: "application/cloudevents-batch+json; charset=utf-8",
};

/**
 * Reads one request to the target `mode`.
 *
 * `headers` has lower-case names, `body` is the exact text, `secrets` are the target's
 * Standard Webhooks keys (empty: it is not signed). Gives `{ events, faults }`: every
 * event as `{ id, sequence }`, every fault as a sentence.
 */
function inspect(mode, headers, body, secrets) {
  const faults = [];
  if (headers["content-type"] !== MODES[mode]) {
    faults.push(`content-type is ${headers["content-type"]}, not ${MODES[mode]}`);
  }
  faults.push(...signatureFaults(headers, body, secrets));

  let parsed = [];
  try {
    parsed = [HTTP.toEvent({ headers, body })].flat();
    for (const event of parsed) {
      event.validate();
    }
  } catch (error) {
    faults.push(`the CloudEvents SDK refuses it: ${error.message}`);
    return { events: [], faults };
  }
  if (mode === "binary" && "ce-datacontenttype" in headers) {
    faults.push("ce-datacontenttype may not be a header");
  }
  faults.push(...missing(mode, headers, body));
  for (const event of parsed) {
    faults.push(...eventFaults(event).map((fault) => `${event.id}: ${fault}`));
  }
  return { events: parsed.map(({ id, sequence }) => ({ id, sequence })), faults };
}

/** What the Standard Webhooks library finds wrong, and where it is too easily content. */
function signatureFaults(headers, body, secrets) {
  const faults = [];
  const accepts = (secret, theirHeaders, theirBody) => {
    try {
      new Webhook(secret).verify(theirBody, theirHeaders);
      return true;
    } catch {
      return false;
    }
  };
  if (secrets.length === 0) {
    if ("webhook-signature" in headers) {
      faults.push("is signed although the target has no key");
    }
    return faults;
  }
  for (const [place, secret] of secrets.entries()) {
    if (!accepts(secret, headers, body)) {
      faults.push(`the Standard Webhooks library refuses it under key ${place + 1}`);
    }
    // A blank keeps the body JSON: only the signature can tell.
    if (accepts(secret, headers, `${body} `)) {
      faults.push("a tampered body is accepted");
    }
    if (accepts(secret, { ...headers, "webhook-id": `${headers["webhook-id"]}x` }, body)) {
      faults.push("a tampered id is accepted");
    }
  }
  if (!/^[A-Za-z0-9_-]+$/.test(headers["webhook-id"] ?? "")) {
    faults.push(`webhook-id is ${headers["webhook-id"]}`);
  }
  return faults;
}

/** Attributes that are not in the request: the SDK makes up an id, a time and a version. */
function missing(mode, headers, body) {
  const prefix = mode === "binary" ? "ce-" : "";
  const sent = mode === "binary" ? [headers] : [JSON.parse(body)].flat();
  return ["specversion", "id", "source", "type", "time", "subject"]
    .filter((name) => !sent.every((attributes) => prefix + name in attributes))
    .map((name) => `${name} is missing`);
}

/** Where an event is not what Tailwater promises for an audit entry. */
function eventFaults(event) {
  const faults = [];
  const expect = (holds, fault) => holds || faults.push(fault);
  const instant = (text) => (/^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(text) ? Date.parse(text) : NaN);

  expect(event instanceof CloudEvent, "is no CloudEvent");
  expect(event.specversion === "1.0", `specversion is ${event.specversion}`);
  expect(event.source === SOURCE, `source is ${event.source}`);
  expect(event.type === TYPE, `type is ${event.type}`);
  expect(/^application\/json$/.test(event.datacontenttype), "datacontenttype is not JSON");
  expect(/^[0-9a-f]{32}$/.test(event.subject), `subject is ${event.subject}`);
  expect(event.partitionkey === event.subject, `partitionkey is ${event.partitionkey}`);
  expect(/^\d{19}$/.test(event.sequence), `sequence is ${event.sequence}`);
  expect(event.tailwaterroute === "poll", `tailwaterroute is ${event.tailwaterroute}`);
  expect(instant(event.time) <= instant(event.recordedtime), "recorded before it happened");

  const data = event.data ?? {};
  expect(data.id === event.id, `data.id is ${data.id}`);
  expect(data.workspace?.id === event.subject, `data.workspace.id is ${data.workspace?.id}`);
  expect(/^[a-z0-9_]+$/.test(data.category), `data.category is ${data.category}`);
  expect(data.created_at === instant(event.time), `data.created_at is ${data.created_at}`);
  return faults;
}

module.exports = { inspect };
