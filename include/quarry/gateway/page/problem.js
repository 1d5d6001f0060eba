// What went wrong, for people.

import { token } from "./api.js";
import { element } from "./elements.js";

const WORDS = {
  0: ["No connection", "The server cannot be reached. It may be starting, or down."],
  401: ["Quarry needs to know who asks", null],
  403: ["Your token does not allow this", null],
  429: ["Too many questions at once", "Your share of this minute is used up."],
  503: ["Quarry is busy", null],
};

// A box that says what to do; after a wait that the API asked for, it offers another try.
export function problemBox(problem, askAgain) {
  const [title, detail] = WORDS[problem.status] ?? [problem.title, null];
  const again = element("button", { type: "button", className: "quiet" }, problem.status === 401 ? "Give a token" : "Ask again");
  again.addEventListener("click", askAgain);
  const box = element(
    "div",
    { className: "problem", role: "alert" },
    element("h3", {}, title),
    element("p", {}, detail ?? told(problem)),
  );
  const wait = element("p", { className: "problem-wait" });
  box.append(wait, again);
  if (problem.retryAfter) countDown(problem.retryAfter, wait, again);
  else wait.remove();
  return box;
}

// A newcomer without a token need not read what the API tells programs.
export function told(problem) {
  if (problem.status === 401 && !token()) return "Paste the token that you were given: it says whose documents you read.";
  const text = problem.message.trim();
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}

function countDown(seconds, wait, again) {
  const until = Date.now() + seconds * 1000;
  again.disabled = true;
  const tick = () => {
    const left = Math.ceil((until - Date.now()) / 1000);
    again.disabled = left > 0;
    wait.textContent = left > 0 ? `Come back in ${duration(left)}.` : "You can ask again now.";
    if (left > 0) setTimeout(tick, 500);
  };
  tick();
}

function duration(seconds) {
  if (seconds < 90) return `${seconds} s`;
  if (seconds < 5400) return `${Math.ceil(seconds / 60)} minutes`;
  return `${Math.ceil(seconds / 3600)} hours`;
}
