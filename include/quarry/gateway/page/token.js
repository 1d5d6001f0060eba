// The box for a token.

import { bearer, keepToken, token } from "./api.js";

const WHY = "A token says who you are and whose documents you read.";

export class TokenBox {
  constructor() {
    this.dialog = document.getElementById("token");
    this.text = document.getElementById("token-text");
    this.why = document.getElementById("token-why");
    this.used = null;
    document.getElementById("open-token").addEventListener("click", () => this.open());
    document.getElementById("close-token").addEventListener("click", () => this.dialog.close());
    document.getElementById("forget-token").addEventListener("click", () => this.#keep(""));
    document.getElementById("token-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const given = this.text.value.replace(/^\s*bearer\s+/i, "").replaceAll(/\s/g, "");
      if (given) this.#keep(given);
      else this.text.focus();
    });
    this.dialog.addEventListener("close", () => { this.text.value = ""; });
    this.#show();
  }

  // `used` is called once a token was given.
  open(why = WHY, used = null) {
    this.used = used;
    this.why.textContent = why;
    document.getElementById("forget-token").hidden = !token();
    if (!this.dialog.open) this.dialog.showModal();
    this.text.focus();
  }

  #keep(text) {
    keepToken(text);
    this.#show();
    const used = text ? this.used : null;
    this.dialog.close();
    used?.();
  }

  #show() {
    const who = bearer();
    const label = who ? [who.tenant, who.subject].filter(Boolean).join(" · ") : "Token given";
    document.getElementById("who").textContent = token() ? label : "Add a token";
  }
}
