// A webhook receiver on a loopback port that reads every request with public libraries.
//
//   node receiver.js SECRETS.json      { "structured": ["whsec_…"], "binary": [], "batch": […] }
//
// Prints its base URL when it listens. POST /<mode> takes deliveries; GET /report gives
// what came, by mode: { requests, events: { id: sequence }, repeats, faults }.

"use strict";

const http = require("node:http");
const { readFileSync } = require("node:fs");
const { inspect } = require("./inspect.js");

// A batch of 100 entries of 2 KiB is far below; a runaway sender is not kept in memory.
const MAX_BODY = 8 * 1024 * 1024;
// The first faults tell the story.
const MAX_FAULTS = 20;

const secrets = JSON.parse(readFileSync(process.argv[2], "utf8"));
const report = Object.fromEntries(
  Object.keys(secrets).map((mode) => [mode, { requests: 0, events: {}, repeats: 0, faults: [] }]),
);

function take(mode, headers, body) {
  const entry = report[mode];
  const { events, faults } = inspect(mode, headers, body, secrets[mode]);
  entry.requests += 1;
  for (const { id, sequence } of events) {
    entry.repeats += id in entry.events ? 1 : 0;
    if ((entry.events[id] ?? sequence) !== sequence) {
      faults.push(`${id}: sequence changed from ${entry.events[id]} to ${sequence}`);
    }
    entry.events[id] = sequence;
  }
  entry.faults.push(...faults.slice(0, MAX_FAULTS - entry.faults.length));
  return faults.length === 0 ? 204 : 400;
}

const server = http.createServer((request, response) => {
  const mode = request.url.slice(1);
  if (request.method === "GET" && mode === "report") {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(report));
    return;
  }
  if (request.method !== "POST" || !(mode in report)) {
    response.writeHead(404).end();
    return;
  }
  const chunks = [];
  let size = 0;
  request.on("data", (chunk) => {
    size += chunk.length;
    if (size > MAX_BODY) {
      response.writeHead(413).end();
      request.destroy();
      return;
    }
    chunks.push(chunk);
  });
  request.on("end", () => {
    const body = Buffer.concat(chunks).toString("utf8");
    response.writeHead(take(mode, request.headers, body)).end();
  });
});

server.listen(0, "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${server.address().port}`);
});
