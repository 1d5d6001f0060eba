// Thumbs up and down for an answer, and a word on why.

import { rate } from "./api.js";
import { element } from "./elements.js";

const SVG = "http://www.w3.org/2000/svg";
const THUMB = "M7 10v11H3V10h4Zm2 10.2V10l4.6-7.3a1.9 1.9 0 0 1 3.4 1.4L16.2 9H20a2 2 0 0 1 2 2.4l-1.5 8A2 2 0 0 1 18.5 21H12a6 6 0 0 1-3-.8Z";

export function rating(queryId) {
  const said = element("span", { className: "rating-said", role: "status" });
  const box = element("div", { className: "rating", role: "group", "aria-label": "Was this answer good?" });
  const send = async (value, comment) => {
    said.textContent = "";
    try {
      await rate({ query_id: queryId, rating: value, ...(comment ? { comment } : {}) });
      said.textContent = comment ? "Thank you. Your note is kept." : "Thank you.";
      return true;
    } catch (problem) {
      said.textContent = `Not kept: ${problem.message}`;
      return false;
    }
  };
  const thumbs = [1, -1].map((value) => thumb(value, async () => {
    if (!(await send(value))) return;
    for (const each of thumbs) each.setAttribute("aria-pressed", String(each === thumbs[value === 1 ? 0 : 1]));
    box.querySelector("form")?.remove();
    if (value === -1) box.append(why((comment) => send(value, comment)));
  }));
  box.append(...thumbs, said);
  return box;
}

function thumb(value, press) {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", "0 0 24 24");
  drawing.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", THUMB);
  drawing.append(path);
  const button = element(
    "button",
    {
      type: "button",
      className: value === 1 ? "thumb" : "thumb down",
      "aria-pressed": "false",
      "aria-label": value === 1 ? "Good answer" : "Bad answer",
    },
    drawing,
  );
  button.addEventListener("click", press);
  return button;
}

function why(send) {
  const input = element("input", { type: "text", maxLength: 1000, "aria-label": "What was wrong?", placeholder: "What was wrong?" });
  const form = element("form", { className: "why" }, input, element("button", { className: "quiet" }, "Send"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (input.value.trim() && (await send(input.value.trim()))) form.remove();
  });
  return form;
}
