// One question and its answer, as it comes in.

import { element } from "./elements.js";
import { problemBox } from "./problem.js";
import { rating } from "./rating.js";

const MARKER = /\[(\d+)\]/g;
const TIERS = { fast: "Fast", deep: "Deep", extractive: "In the documents' own words", none: "No answer" };

export class AnswerView {
  // `source` shows citations.
  constructor(question, source) {
    this.source = source;
    this.citations = new Map();
    this.text = element("p", { className: "answer-text" });
    this.waiting = element("p", { className: "waiting" }, "Reading the documents");
    this.end = element("div", { className: "answer-end" });
    this.element = element(
      "article",
      { className: "answer", "aria-busy": "true" },
      element("h2", { className: "question" }, question),
      this.text,
      this.waiting,
      this.end,
    );
  }

  say({ text, citations }) {
    if (this.text.hasChildNodes()) this.text.append(" ");
    this.text.append(this.#cited(text, citations, "sentence"));
  }

  finish(answered) {
    this.#done();
    this.element.classList.toggle("unknown", !answered.grounded);
    this.text.replaceChildren(this.#cited(answered.answer, answered.citations, ""));
    const passages = (answered.passages ?? []).map((passage, place) => ({ ...passage, marker: place + 1 }));
    if (answered.grounded) this.end.append(this.#sources(answered.citations));
    else if (passages.length) this.end.append(this.#sources(passages));
    else this.end.append(element("p", { className: "advice" }, "No passage here bears out an answer. Other words may find one."));
    this.end.append(element("footer", { className: "answer-foot" }, facts(answered), rating(answered.query_id)));
  }

  // `askAgain` is called when the reader wants another try.
  fail(problem, askAgain) {
    this.#done();
    this.end.replaceChildren(problemBox(problem, askAgain));
  }

  stop() {
    this.#done();
    this.end.replaceChildren(element("p", { className: "advice" }, "You stopped this answer."));
  }

  #done() {
    this.element.removeAttribute("aria-busy");
    this.waiting.remove();
  }

  // The text with its markers as buttons that open the source.
  #cited(text, citations, className) {
    for (const citation of citations) this.citations.set(citation.marker, citation);
    const span = element("span", { className });
    let from = 0;
    for (const found of text.matchAll(MARKER)) {
      const citation = this.citations.get(Number(found[1]));
      if (!citation) continue;
      span.append(text.slice(from, found.index).replace(/ $/, "\u202f"), this.#marker(citation));
      from = found.index + found[0].length;
    }
    span.append(text.slice(from));
    return span;
  }

  #marker(citation) {
    const label = `Source ${citation.marker}: ${citation.title || citation.doc_id}`;
    const button = element("button", { type: "button", className: "marker", "aria-label": label }, String(citation.marker));
    this.source.offer(button, citation);
    return button;
  }

  #sources(citations) {
    const items = citations.map((citation) => {
      const button = element(
        "button",
        { type: "button", className: "cited" },
        element("span", { className: "cited-number", "aria-hidden": "true" }, String(citation.marker)),
        element("span", { className: "cited-title" }, citation.title || citation.doc_id),
        element("span", { className: "cited-text" }, citation.text),
      );
      this.source.offer(button, citation);
      return element("li", {}, button);
    });
    return element("section", { "aria-label": "Sources" }, element("ol", { className: "sources" }, ...items));
  }
}

// Which tier answered and why, by which model and prompt, what it cost, how long it took.
function facts({ tier, tier_reason: reason, release, cached, cost, usage, timings_ms: timings }) {
  const told = [["Tier", reason ? `${TIERS[tier] ?? tier}: ${reason}` : TIERS[tier] ?? tier]];
  if (release) told.push(["Model", `${release.model}, prompt ${release.prompt_version.slice(0, 8)}`]);
  if (cached) told.push(["Kept", "answered before, from the same passages"]);
  if (cost) told.push(["Cost", money(cost)]);
  told.push(["Time", seconds(timings.total)]);
  const tokens = (usage.prompt_tokens ?? 0) + (usage.completion_tokens ?? 0);
  if (tokens) told.push(["Tokens", tokens.toLocaleString("en")]);
  const pairs = told.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)));
  return element("dl", { className: "facts" }, ...pairs);
}

// The installation's own currency, which the API does not name.
function money(cost) {
  return cost.toLocaleString("en", { maximumSignificantDigits: 2, maximumFractionDigits: 8 });
}

function seconds(milliseconds) {
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}
