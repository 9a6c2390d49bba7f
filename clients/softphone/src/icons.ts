/** The few drawings of the page, as line icons on a 24 by 24 grid. */

const PATHS = {
  call: "M6.5 3.5h3l1.5 4.200-2 1.600a12 12 0 0 0 5.700 5.700l1.600-2 4.200 1.5v3c0 1.700-1.300 3-3 3C10.300 20.5 3.5 13.700 3.5 6.5c0-1.700 1.300-3 3-3z",
  hangup: "M3 13.5c5-5 13-5 18 0l-2.200 3-4.300-1.300v-3a13 13 0 0 0-5 0v3L5.200 16.5z",
  mic: "M12 3.5a3 3 0 0 1 3 3v5a3 3 0 0 1-6 0v-5a3 3 0 0 1 3-3zM5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3",
  micOff:
    "M9 9v2.5a3 3 0 0 0 4.800 2.400M15 10.5v-4a3 3 0 0 0-5.700-1.300M5.5 11.5a6.5 6.5 0 0 0 10.300 5.300M18.5 11.5a6.5 6.5 0 0 1-.6 2.700M12 18v3M4 4l16 16",
  pause: "M8 5v14M16 5v14",
  play: "M7 4.5v15l12-7.5z",
  keypad: "M6 5h.01M12 5h.01M18 5h.01M6 11h.01M12 11h.01M18 11h.01M6 17h.01M12 17h.01M18 17h.01",
  backspace: "M9 5.5h11.5v13H9L3.5 12zM12 9.5l5 5M17 9.5l-5 5",
  inbound: "M18 6L7 17M7 9v8h8",
  outbound: "M6 18L17 7M9 7h8v8",
  theme: "M12 3.5a8.5 8.5 0 1 0 0 17zM12 3.5a8.5 8.5 0 0 1 0 17",
  transfer: "M4 8h13M13 4l4 4-4 4M20 16H7M11 12l-4 4 4 4",
  close: "M6 6l12 12M18 6L6 18",
  again: "M19.5 12a7.5 7.5 0 1 1-2.200-5.300M19.5 4v4h-4",
} as const;

export type IconName = keyof typeof PATHS;

/** A decorative icon; the control that holds it has the words. */
export function icon(name: IconName): SVGSVGElement {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("icon");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}
