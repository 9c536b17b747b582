// The finished pictures of this visit, newest first. They live in this page's memory and go with it.

const ROOM_FOR = 48;

export class Shelf {
  #section;
  #list;
  #onChoose;
  #buttons = new Map();

  /** @param onChoose called with the picture whose thumbnail was chosen */
  constructor(section, onChoose) {
    this.#section = section;
    this.#list = section.querySelector("ul");
    this.#onChoose = onChoose;
  }

  add(picture) {
    const image = new Image(96, 96);
    image.src = picture.address;
    image.alt = `${picture.prompt}, seed ${picture.seed}`;
    const button = document.createElement("button");
    button.type = "button";
    button.append(image);
    button.addEventListener("click", () => this.#onChoose(picture));
    const item = document.createElement("li");
    item.append(button);
    this.#list.prepend(item);
    this.#buttons.set(picture, button);
    this.#section.hidden = false;
    this.#forgetOldest();
  }

  /** Marks the picture that is on show. */
  mark(shown) {
    for (const [picture, button] of this.#buttons) {
      button.setAttribute("aria-current", String(picture === shown));
    }
  }

  #forgetOldest() {
    if (this.#buttons.size > ROOM_FOR) {
      const [oldest, button] = this.#buttons.entries().next().value;
      button.parentElement.remove();
      this.#buttons.delete(oldest);
      URL.revokeObjectURL(oldest.address);
    }
  }
}
