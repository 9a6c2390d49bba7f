/** A strip that shows how loud a stream was over the last seconds. */
import { h } from "./dom.js";
import { LevelProbe } from "./sound.js";

const BARS = 44;
/** The number that screen readers find changes this often: at the pace of the bars it would only keep them busy. */
const NUMBER_MS = 500;
/** A new bar this often: the strip covers about three seconds. */
const BAR_MS = 70;

export class Meter {
  readonly element: HTMLElement;
  readonly #canvas = h("canvas", { "aria-hidden": "true" });
  readonly #history: number[] = new Array<number>(BARS).fill(0);
  #stream: MediaStream | null = null;
  #probe: LevelProbe | null = null;
  #peak = 0;
  #lastBarAt = 0;
  #lastNumberAt = 0;
  /** The loudest since the number changed. */
  #loudest = 0;
  #frame = 0;

  constructor(label: string, className: string) {
    this.element = h(
      "div",
      {
        class: `meter ${className}`,
        role: "meter",
        "aria-label": `Loudness: ${label}`,
        "aria-valuemin": 0,
        "aria-valuemax": 100,
        "aria-valuenow": 0,
      },
      h("span", { class: "meter-label", "aria-hidden": "true" }, label),
      this.#canvas,
    );
    this.#frame = requestAnimationFrame((now) => this.#tick(now));
  }

  /** Follows this stream from now on. */
  follow(stream: MediaStream | null): void {
    if (stream === this.#stream) return;
    this.#stream = stream;
    this.#probe?.close();
    this.#probe = stream && stream.getAudioTracks().length > 0 ? new LevelProbe(stream) : null;
  }

  stop(): void {
    cancelAnimationFrame(this.#frame);
    this.#probe?.close();
    this.#probe = null;
  }

  #tick(now: number): void {
    this.#peak = Math.max(this.#peak, this.#probe?.level() ?? 0);
    if (now - this.#lastBarAt >= BAR_MS) {
      this.#lastBarAt = now;
      this.#history.push(this.#peak);
      this.#history.shift();
      this.#loudest = Math.max(this.#loudest, this.#peak);
      if (now - this.#lastNumberAt >= NUMBER_MS) {
        this.#lastNumberAt = now;
        this.element.setAttribute("aria-valuenow", String(Math.round(this.#loudest * 100)));
        this.#loudest = 0;
      }
      this.#peak = 0;
      this.#draw();
    }
    this.#frame = requestAnimationFrame((next) => this.#tick(next));
  }

  #draw(): void {
    const scale = window.devicePixelRatio;
    const width = Math.round(this.#canvas.clientWidth * scale);
    const height = Math.round(this.#canvas.clientHeight * scale);
    if (this.#canvas.width !== width) this.#canvas.width = width;
    if (this.#canvas.height !== height) this.#canvas.height = height;
    const brush = this.#canvas.getContext("2d");
    if (!brush || width === 0) return;
    brush.clearRect(0, 0, width, height);
    brush.fillStyle = getComputedStyle(this.#canvas).color;
    const step = width / BARS;
    const bar = Math.max(1, step * 0.55);
    this.#history.forEach((level, index) => {
      const tall = Math.max(bar, level * height);
      brush.globalAlpha = 0.3 + 0.7 * (index / BARS);
      brush.beginPath();
      brush.roundRect(index * step, (height - tall) / 2, bar, tall, bar / 2);
      brush.fill();
    });
  }
}
