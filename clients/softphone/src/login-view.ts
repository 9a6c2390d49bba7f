/** Sign in: by user and password, or by token. On a demo server one click fills the fields. */
import type { Demo, DemoUser } from "./demo.js";
import { h } from "./dom.js";

export interface Login {
  readonly login?: string;
  readonly password?: string;
  readonly login_token?: string;
  /** How the page calls this person. */
  readonly shown: string;
}

export class LoginView {
  readonly element: HTMLElement;
  readonly #user = h("input", {
    id: "login-user",
    name: "user",
    autocomplete: "username",
    required: true,
    spellcheck: "false",
  });
  readonly #password = h("input", {
    id: "login-password",
    name: "password",
    type: "password",
    autocomplete: "current-password",
    required: true,
  });
  readonly #token = h("textarea", {
    id: "login-token",
    name: "token",
    rows: 4,
    spellcheck: "false",
    placeholder: "eyJhbGciOi…",
  });
  readonly #submit = h("button", { type: "submit", class: "primary wide" }, "Sign in");
  readonly #problem = h("p", { class: "problem", role: "alert", hidden: true });
  readonly #switch = h("button", {
    type: "button",
    class: "link",
    onclick: () => this.#askForToken(!this.#byPassword.hidden),
  });
  readonly #byPassword: HTMLElement;
  readonly #byToken: HTMLElement;
  readonly #onLogin: (login: Login) => void;

  constructor(demo: Demo, onLogin: (login: Login) => void) {
    this.#onLogin = onLogin;
    this.#byPassword = h(
      "div",
      { class: "fields" },
      field("User", this.#user),
      field("Password", this.#password),
    );
    this.#byToken = h("div", { class: "fields", hidden: true }, field("Token (JWT)", this.#token));
    const form = h(
      "form",
      { class: "card login", "aria-labelledby": "login-title", onsubmit: (event) => this.#onSubmit(event) },
      h("h1", { id: "login-title" }, "Pick up the phone"),
      h("p", { class: "muted" }, "Sign in to call and be called from this page."),
      demo.users.length > 0 ? this.#demoUsers(demo.users) : null,
      this.#byPassword,
      this.#byToken,
      this.#problem,
      this.#submit,
      this.#switch,
    );
    this.element = h("div", { class: "login-stage" }, form);
    this.#askForToken(false);
    const first = demo.users[0];
    if (first) this.#fill(first);
  }

  /** While the server is asked. */
  setBusy(busy: boolean): void {
    this.#submit.disabled = busy;
    this.#submit.textContent = busy ? "Signing in…" : "Sign in";
    if (busy) this.#problem.hidden = true;
  }

  showProblem(what: string, remedy: string): void {
    this.setBusy(false);
    this.#problem.hidden = false;
    this.#problem.replaceChildren(h("strong", {}, what), " ", remedy);
  }

  #demoUsers(users: readonly DemoUser[]): HTMLElement {
    return h(
      "div",
      { class: "people", role: "group", "aria-label": "Demo users" },
      ...users.map((user) =>
        h(
          "button",
          { type: "button", class: "person", "data-user": user.login, onclick: () => this.#fill(user) },
          h("span", { class: "avatar", "aria-hidden": "true" }, user.login.charAt(0).toUpperCase()),
          h("span", {}, user.login),
        ),
      ),
    );
  }

  #fill(user: DemoUser): void {
    this.#askForToken(false);
    this.#user.value = user.login;
    this.#password.value = user.password;
    for (const button of this.element.querySelectorAll<HTMLElement>(".person")) {
      button.setAttribute("aria-pressed", String(button.dataset["user"] === user.login));
    }
    this.#submit.focus();
  }

  #askForToken(token: boolean): void {
    this.#byToken.hidden = !token;
    this.#byPassword.hidden = token;
    this.#user.required = !token;
    this.#password.required = !token;
    this.#token.required = token;
    this.#switch.textContent = token ? "Use user and password" : "Use a token instead";
  }

  #onSubmit(event: Event): void {
    event.preventDefault();
    this.setBusy(true);
    if (!this.#byToken.hidden) {
      this.#onLogin({ login_token: this.#token.value.trim(), shown: "token user" });
      return;
    }
    const login = this.#user.value.trim();
    this.#onLogin({ login, password: this.#password.value, shown: login });
  }
}

function field(label: string, input: HTMLElement): HTMLElement {
  return h("div", { class: "field" }, h("label", { for: input.id }, label), input);
}
