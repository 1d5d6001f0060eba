// The pane that shows a citation in its document.

import { readDocument } from "./api.js";
import { element, utf16Offset } from "./elements.js";

const AROUND = 30000; // characters shown on each side of the passage: a document may be a book
const WIDE = matchMedia("(min-width: 64rem) and (hover: hover)");

export class Source {
  constructor(pane) {
    this.pane = pane;
    this.title = pane.querySelector(".source-title");
    this.where = pane.querySelector(".source-where");
    this.note = pane.querySelector(".source-note");
    this.text = pane.querySelector(".source-text");
    this.documents = new Map();
    this.opener = null;
    this.current = null;
    pane.querySelector(".source-close").addEventListener("click", () => this.close());
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !pane.querySelector(".source-open").hidden) this.close();
    });
  }

  // Lets a button show a citation: when it is pointed at or focused, where the pane has its own place; else when pressed.
  offer(button, citation) {
    const show = () => {
      if (WIDE.matches) this.show(button, citation);
    };
    button.addEventListener("mouseenter", show);
    button.addEventListener("focus", show);
    button.addEventListener("click", () => {
      this.show(button, citation);
      if (WIDE.matches) return;
      button.scrollIntoView({ block: "start" }); // the sheet covers what lies below
      this.pane.querySelector(".source-close").focus({ preventScroll: true });
    });
  }

  async show(button, citation) {
    this.opener?.removeAttribute("aria-current");
    this.opener = button;
    button.setAttribute("aria-current", "true");
    if (this.current === citation) return;
    this.current = citation;
    this.#frame(citation);
    this.text.replaceChildren(element("mark", {}, citation.text));
    this.#say("");
    try {
      const found = await this.#document(citation.doc_id);
      if (this.current === citation) this.#open(found, citation);
    } catch (problem) {
      if (this.current === citation) this.#say(problem.status === 404 ? "This document is gone now. The answer used these words:" : `The document cannot be shown: ${problem.message}`);
    }
  }

  close() {
    document.body.classList.remove("with-source");
    this.pane.querySelector(".source-open").hidden = true;
    this.pane.querySelector(".source-none").hidden = false;
    this.current = null;
    this.opener?.removeAttribute("aria-current");
    this.opener?.focus({ preventScroll: true });
    this.opener = null;
  }

  // Documents are kept while an answer is read; a new question may meet new versions.
  forget() {
    this.documents.clear();
  }

  #document(docId) {
    if (!this.documents.has(docId)) {
      const found = readDocument(docId);
      found.catch(() => this.documents.delete(docId));
      this.documents.set(docId, found);
    }
    return this.documents.get(docId);
  }

  #frame(citation) {
    document.body.classList.add("with-source");
    this.pane.querySelector(".source-none").hidden = true;
    this.pane.querySelector(".source-open").hidden = false;
    this.title.textContent = citation.title || citation.doc_id;
    this.where.replaceChildren(...address(citation));
  }

  #open(found, citation) {
    const start = utf16Offset(found.text, citation.start);
    const end = utf16Offset(found.text, citation.end);
    if (found.text.slice(start, end) !== citation.text) {
      this.#say("The document has changed since. The answer used these words:");
      return;
    }
    const from = Math.max(0, start - AROUND);
    const to = Math.min(found.text.length, end + AROUND);
    const mark = element("mark", {}, citation.text);
    this.text.replaceChildren(
      `${from > 0 ? "… " : ""}${found.text.slice(from, start)}`,
      mark,
      `${found.text.slice(end, to)}${to < found.text.length ? " …" : ""}`,
    );
    const middle = mark.offsetTop - this.text.offsetTop - this.text.clientHeight / 3;
    this.text.scrollTop = Math.max(0, middle);
  }

  #say(note) {
    this.note.hidden = !note;
    this.note.textContent = note;
  }
}

// Where the document lies: a link only where it is one of the web.
function address({ doc_id: docId, uri }) {
  if (!/^https?:\/\//i.test(uri)) return [docId];
  return [element("a", { href: uri, target: "_blank", rel: "noopener noreferrer" }, docId)];
}
