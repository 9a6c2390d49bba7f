/** Light, dark, or as the system says. */

const KEY = "offhook-theme";
const THEMES = ["auto", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

/** The one of this page, where the browser keeps nothing for it. */
let current: Theme = "auto";

export function currentTheme(): Theme {
  const stored = kept(() => localStorage.getItem(KEY));
  return THEMES.find((theme) => theme === stored) ?? current;
}

export function applyTheme(theme: Theme): void {
  current = theme;
  kept(() => localStorage.setItem(KEY, theme));
  if (theme === "auto") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme;
}

/** What the browser's storage gives; nothing where the person allows no site data. */
function kept<T>(ask: () => T): T | null {
  try {
    return ask();
  } catch {
    return null;
  }
}

export function nextTheme(theme: Theme): Theme {
  return THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? "auto";
}
