// Wires the page together.

import { ask, examples } from "./api.js";
import { AnswerView } from "./answer.js";
import { element } from "./elements.js";
import { told } from "./problem.js";
import { Source } from "./source.js";
import { TokenBox } from "./token.js";

const form = document.getElementById("ask");
const question = document.getElementById("question");
const send = document.getElementById("send");
const answers = document.getElementById("answers");
const news = document.getElementById("news");
const source = new Source(document.getElementById("source"));
const tokenBox = new TokenBox();
let running = null;

async function answer(text, tier) {
  running?.abort();
  const controller = new AbortController();
  running = controller;
  source.forget();
  const view = new AnswerView(text, source);
  answers.prepend(view.element);
  document.body.classList.add("asked");
  document.getElementById("examples").hidden = true;
  busy(true);
  news.replaceChildren();
  try {
    for await (const { name, data } of ask(text, tier, controller.signal)) {
      if (name === "sentence") {
        view.say(data);
        announce(data.text);
      } else {
        view.finish(data);
        if (!data.grounded) announce(data.answer);
      }
    }
  } catch (error) {
    if (error.name === "AbortError") view.stop();
    else if (error.status === undefined) throw error;
    else refuse(view, error, text, tier);
  } finally {
    if (running === controller) busy(false);
  }
}

function refuse(view, problem, text, tier) {
  const giveToken = () => tokenBox.open(told(problem), () => replace(view, text, tier));
  view.fail(problem, problem.status === 401 ? giveToken : () => replace(view, text, tier));
  if (problem.status === 401) giveToken();
}

function replace(view, text, tier) {
  view.element.remove();
  answer(text, tier);
}

// What a screen reader says: the sentences as they come, without their markers.
function announce(text) {
  news.append(element("p", {}, text.replaceAll(/ ?\[\d+\]/g, "")));
}

function busy(is) {
  send.textContent = is ? "Stop" : "Ask";
  send.classList.toggle("stops", is);
  if (!is) running = null;
}

function grow() {
  question.style.height = "auto";
  question.style.height = `${question.scrollHeight}px`;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (running) {
    running.abort();
    return;
  }
  const text = question.value.trim();
  if (!text) {
    question.focus();
    return;
  }
  question.value = "";
  grow();
  answer(text, new FormData(form).get("tier"));
});

question.addEventListener("input", grow);
question.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    form.requestSubmit();
  }
});

for (const text of await examples()) {
  const button = element("button", { type: "button", className: "example" }, text);
  button.addEventListener("click", () => answer(text, new FormData(form).get("tier")));
  document.querySelector(".examples").append(element("li", {}, button));
  document.getElementById("examples").hidden = false;
}
