// Waits for a fact about the receiver and says whether all is well.
//
//   node verdict.js BASE_URL at-least N SECONDS      N events by every mode
//   node verdict.js BASE_URL same SECONDS            the same events by every mode, no fault
//
// Exit code 0 when it holds, 1 when it does not within SECONDS or a fault was found.

"use strict";

const PAUSE_MS = 100;

async function main([base, what, ...numbers]) {
  const [wanted, seconds] = what === "same" ? [1, Number(numbers[0])] : numbers.map(Number);
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const report = await (await fetch(`${base}/report`)).json();
    const faults = Object.entries(report).flatMap(([mode, { faults }]) =>
      faults.map((fault) => `${mode}: ${fault}`),
    );
    if (faults.length > 0) {
      return fail("the libraries found faults", faults);
    }
    if (holds(what, wanted, report)) {
      console.log(`${what}: ${summary(report).join(", ")}`);
      return 0;
    }
    if (Date.now() > deadline) {
      return fail(`not within ${seconds} s: ${what} ${wanted}`, summary(report));
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

function holds(what, wanted, report) {
  const modes = Object.values(report);
  const enough = modes.every(({ events }) => Object.keys(events).length >= wanted);
  const sets = modes.map(({ events }) => JSON.stringify(Object.entries(events).sort()));
  return enough && (what !== "same" || sets.every((set) => set === sets[0]));
}

function summary(report) {
  return Object.entries(report).map(([mode, { requests, events, repeats }]) => {
    const count = Object.keys(events).length;
    return `${mode} ${count} events in ${requests} requests (${repeats} repeats)`;
  });
}

function fail(headline, lines) {
  console.error([headline, ...lines.map((line) => `  ${line}`)].join("\n"));
  return 1;
}

main(process.argv.slice(2)).then(
  (code) => (process.exitCode = code),
  (error) => {
    console.error(`the receiver does not answer: ${error.message}`);
    process.exitCode = 1;
  },
);
