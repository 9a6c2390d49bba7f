/** Errors with their remedy, where nobody can overlook them. */
import type { OffhookError } from "@offhook/web-sdk";
import { byId, h } from "./dom.js";
import { icon } from "./icons.js";

const NOTICES_MAX = 3;
const MICROPHONE_CODES: readonly number[] = [42001, 42002, 42003];

export function showError(error: OffhookError): void {
  const microphone = MICROPHONE_CODES.includes(error.code);
  show(
    String(error.code),
    error.message,
    error.remedy,
    microphone ? microphoneHelp() : null,
    `${error.name} ${error.code}${error.detail ? `: ${error.detail}` : ""}`,
  );
}

/** Takes back what has become untrue, for example "cannot be reached" once it can. */
export function clearError(code: number): void {
  byId("notices").querySelector(`[data-notice="${code}"]`)?.remove();
}

function show(key: string, title: string, remedy: string, help: HTMLElement | null, detail: string): void {
  const list = byId("notices");
  list.querySelector(`[data-notice="${key}"]`)?.remove();
  const notice: HTMLElement = h(
    "div",
    { class: "notice", role: "alert", "data-notice": key },
    h(
      "div",
      {},
      h("strong", {}, title),
      h("p", {}, remedy),
      help,
      h("details", {}, h("summary", {}, "Details"), h("code", {}, detail)),
    ),
    h(
      "button",
      { type: "button", class: "bare", "aria-label": "Dismiss", onclick: () => notice.remove() },
      icon("close"),
    ),
  );
  list.prepend(notice);
  while (list.childElementCount > NOTICES_MAX) list.lastElementChild?.remove();
}

function microphoneHelp(): HTMLElement {
  return h(
    "ol",
    {},
    h("li", {}, "Click the icon at the left end of the address bar."),
    h("li", {}, "Set Microphone to Allow."),
    h("li", {}, "Call again. If the microphone is still silent, look at the system's privacy settings."),
  );
}
