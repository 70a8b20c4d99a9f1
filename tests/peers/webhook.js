// A webhook on a loopback port that takes GreenLake's pushes with Node's own crypto.
//
//   node webhook.js SECRET…      answers challenges by the first, wants a signature by each
//
// Prints its base URL when it listens. GET /report gives what came, in receiver.js's form.

"use strict";

const http = require("node:http");
const { createHmac } = require("node:crypto");

// A batch of ten payloads of 64 KiB is below; a runaway sender is not kept in memory.
const MAX_BODY = 1024 * 1024;
// The first faults tell the story.
const MAX_FAULTS = 20;

const secrets = process.argv.slice(2);
const pushed = { requests: 0, events: {}, repeats: 0, faults: [] };
const digest = (secret, message) => createHmac("sha256", secret).update(message).digest("hex");

function fault(text) {
  if (pushed.faults.length < MAX_FAULTS) {
    pushed.faults.push(text);
  }
}

// Node joins repeated headers with a comma, as a list would be written.
function checkSignatures(headers, body) {
  const found = (headers["hpe-webhook-signature"] ?? "").split(/,\s*/).sort();
  const expected = secrets.map((secret) => `sha256=${digest(secret, body)}`).sort();
  if (found.join() !== expected.join()) {
    fault(`signatures ${found} instead of ${expected}`);
  }
}

function take(headers, body, response) {
  const content = JSON.parse(body.toString("utf8"));
  const challenge = content.data?.challengeRequest;
  if (challenge !== undefined) {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ verification: digest(secrets[0], challenge) }));
    return;
  }
  pushed.requests += 1;
  checkSignatures(headers, body);
  for (const event of [content].flat()) {
    pushed.repeats += event.data.id in pushed.events ? 1 : 0;
    pushed.events[event.data.id] = 1;
  }
  response.writeHead(202).end();
}

const server = http.createServer((request, response) => {
  if (request.method === "GET") {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ pushed }));
    return;
  }
  if (request.method === "OPTIONS") {
    response.setHeader("WebHook-Allowed-Rate", "*");
    response.end();
    return;
  }
  const chunks = [];
  let size = 0;
  request.on("data", (chunk) => {
    size += chunk.length;
    chunks.push(chunk);
    if (size > MAX_BODY) {
      response.writeHead(413).end();
      request.destroy();
    }
  });
  request.on("end", () => {
    try {
      take(request.headers, Buffer.concat(chunks), response);
    } catch (error) {
      fault(`unreadable: ${error.message}`);
      response.writeHead(400).end();
    }
  });
});

server.listen(0, "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${server.address().port}`);
});
