// Tests the inspection itself, on requests that Tailwater's own codec made
// (tests/vectors/requests.json): what is right passes, what is spoilt is found.

"use strict";

const test = require("node:test");
const assert = require("node:assert");
const { readFileSync } = require("node:fs");
const path = require("node:path");
const { inspect } = require("./inspect.js");

const vectors = JSON.parse(
  readFileSync(path.join(__dirname, "../vectors/requests.json"), "utf8"),
);
// The library believes fresh signatures only.
Date.now = () => vectors.signed_at * 1000;

function faultsOf(mode, spoil = (request) => request) {
  const { headers, body, secrets } = vectors.requests[mode];
  const request = spoil({ headers: { ...headers }, body, secrets });
  return inspect(mode, request.headers, request.body, request.secrets).faults.join("\n");
}

for (const mode of ["structured", "binary", "batch"]) {
  test(`${mode}: what the codec makes is accepted`, () => {
    assert.strictEqual(faultsOf(mode), "");
  });
}

const swap = (from, to) => (request) => ({ ...request, body: request.body.replace(from, to) });
const header = (name, value) => (request) => {
  request.headers[name] = value;
  return request;
};

for (const [mode, spoil, fault] of [
  ["structured", swap("user_management", "user-management"), /library refuses it under key 1/],
  ["structured", header("webhook-id", "other"), /library refuses it under key 1/],
  ["structured", header("webhook-timestamp", "1734698000"), /library refuses it under key 2/],
  ["structured", header("content-type", "application/json"), /content-type is application\/json/],
  ["structured", swap('"specversion":"1.0",', ""), /specversion is missing/],
  ["structured", swap('"partitionkey":"3', '"partitionkey":"4'), /partitionkey is 4/],
  ["structured", swap('"sequence":"0', '"sequence":"'), /sequence is/],
  ["batch", swap("[{", "{"), /SDK refuses/],
  ["batch", swap('"id":', '"idx":'), /id is missing/],
  ["binary", header("ce-datacontenttype", "application/json"), /may not be a header/],
  ["binary", header("ce-type", "other"), /type is other/],
  ["binary", header("ce-id", ""), /SDK refuses/],
  ["binary", header("webhook-signature", "v1,x"), /although the target has no key/],
  ["binary", swap("created_at", "createdAt"), /data.created_at is undefined/],
]) {
  test(`${mode}: spoilt, it shows ${fault}`, () => assert.match(faultsOf(mode, spoil), fault));
}
