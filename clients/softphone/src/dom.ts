/** Builds elements without a framework, and never from strings of HTML. */

type Attributes = Record<string, string | number | boolean | null | ((event: Event) => void)>;
type Child = Node | string | null;

/** `h("button", { type: "button", onclick: f }, "Call")`: `false` and `null` leave an attribute out. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.replace(/^on/, ""), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** The element of the page's own HTML with this id. */
export function byId(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no element #${id}`);
  return found;
}

/** Says a sentence to people who listen to the page instead of looking at it. */
export function announce(sentence: string): void {
  byId("announcer").textContent = sentence;
}
