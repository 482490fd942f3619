"use strict";
// Filters and sorts the list of a page. Without this script the list is there all the same, in parts.
(() => {
  const table = document.querySelector("table[data-rows]");
  const data = globalThis.sharectlRows;
  if (!table || !data) return;
  const { columns, rows, sizes, backends, noun } = data;
  const body = table.tBodies[0];
  const parts = document.querySelector("nav.parts");
  const caption = table.caption;
  const AT_ONCE = 200;
  let limit = AT_ONCE;
  let sorted = null; // {column, direction}
  let found = rows;

  const element = (name, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };
  const textOf = (value) => (Array.isArray(value) ? value[0] : value === null ? "" : String(value));
  const bytesOf = (value) => {
    if (value === null) return "";
    const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let unit = 0;
    for (; value >= 1024 && unit < units.length - 1; unit += 1) value /= 1024;
    return `${unit ? value.toFixed(1) : value} ${units[unit]}`;
  };
  const shown = {
    page: (value) => element("a", { href: value[1] }, value[0]),
    text: textOf,
    backend: (value) => (backends[value] ? element("a", { href: backends[value] }, value) : value),
    number: (value) => value.toLocaleString("en"),
    size: (value) => sizes[value] ?? bytesOf(value),
    bytes: (value, row) => (value === null || !row[sizeAt] ? bytesOf(value) : `${bytesOf(value)} (${Math.round((100 * value) / row[sizeAt])} %)`),
    condition: (value) => element("span", { className: value === "ok" ? "fine" : "wrong" }, value),
  };
  const sizeAt = columns.findIndex((column) => column.kind === "size");
  const isNumber = (column) => ["number", "size", "bytes"].includes(column.kind);

  // An address finds the networks that hold it.
  const numberOf = (text) => {
    if (/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) {
      const bytes = text.split(".").map(Number);
      return bytes.every((byte) => byte < 256) ? [32, bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n)] : null;
    }
    if (!/^[0-9a-f:]+$/i.test(text) || !text.includes(":") || text.split("::").length > 2) return null;
    const [head, tail] = text.split("::").map((half) => (half ? half.split(":") : []));
    const groups = tail === undefined ? head : [...head, ...Array(Math.max(0, 8 - head.length - tail.length)).fill("0"), ...tail];
    if (groups.length !== 8 || !groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return null;
    return [128, groups.reduce((sum, group) => sum * 65536n + BigInt(`0x${group}`), 0n)];
  };
  const holds = (network, address) => {
    const [text, length] = network.split("/");
    const first = numberOf(text);
    if (!first || first[0] !== address[0]) return false;
    const shift = BigInt(length === undefined ? 0 : address[0] - Number(length));
    return first[1] >> shift === address[1] >> shift;
  };

  const texts = [];
  const haystack = (index) => (texts[index] ??= rows[index].map(textOf).join("\n").toLowerCase());
  const order = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

  const search = element("input", { type: "search", id: "search", autocomplete: "off", spellcheck: false });
  const form = element("form", { className: "tools", role: "search" }, element("div", {}, element("label", { htmlFor: "search" }, "Search"), search));
  const chosen = [];
  columns.forEach((column, number) => {
    if (!column.choose) return;
    const values = [...new Set(rows.map((row) => textOf(row[number])))].sort(order.compare);
    if (values.length < 2 || values.length > 200) return;
    const select = element("select", { id: `choose-${number}` }, element("option", { value: "" }, "all"));
    values.forEach((value, at) => select.append(element("option", { value: String(at + 1) }, value || "(none)")));
    chosen.push({ number, select, values });
    form.append(element("div", {}, element("label", { htmlFor: select.id }, column.label), select));
  });
  const count = element("output", { htmlFor: "search" });
  const more = element("button", { type: "button", className: "more", hidden: true }, `Show ${AT_ONCE} more`);

  const draw = () => {
    const pieces = document.createDocumentFragment();
    for (const row of found.slice(0, limit)) {
      const line = element("tr");
      row.forEach((value, number) => {
        const cell = element(number ? "td" : "th", {}, shown[columns[number].kind](value, row));
        if (number) cell.dataset.label = columns[number].label;
        else cell.scope = "row";
        if (isNumber(columns[number])) cell.className = "number";
        line.append(cell);
      });
      pieces.append(line);
    }
    body.replaceChildren(pieces);
    more.hidden = found.length <= limit;
    const total = rows.length.toLocaleString("en");
    const words = `${noun}${rows.length === 1 ? "" : noun === "entry" ? "" : "s"}`.replace(/^entry$/, rows.length === 1 ? "entry" : "entries");
    count.textContent = found.length === rows.length ? `${total} ${words}` : `${found.length.toLocaleString("en")} of ${total} ${words}`;
    caption.hidden = true;
    if (parts) parts.hidden = true;
  };

  const look = () => {
    const terms = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const addresses = terms.map((term) => (noun === "entry" ? numberOf(term) : null));
    const filters = chosen.filter(({ select }) => select.value).map(({ number, select, values }) => [number, values[Number(select.value) - 1]]);
    found = rows.filter(
      (row, index) =>
        filters.every(([number, value]) => textOf(row[number]) === value) &&
        terms.every((term, at) => haystack(index).includes(term) || (addresses[at] && holds(row[0][0], addresses[at]))),
    );
    if (sorted) {
      const { column, direction } = sorted;
      const compare = isNumber(columns[column])
        ? (one, other) => (one[column] ?? -1) - (other[column] ?? -1)
        : (one, other) => order.compare(textOf(one[column]), textOf(other[column]));
      found = [...found].sort((one, other) => direction * compare(one, other));
    }
    limit = AT_ONCE;
    draw();
  };

  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, number) => {
    const button = element("button", { type: "button", className: "sort" }, ...head.childNodes);
    button.addEventListener("click", () => {
      const again = sorted && sorted.column === number;
      sorted = { column: number, direction: again ? -sorted.direction : isNumber(columns[number]) ? -1 : 1 };
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", sorted.direction > 0 ? "ascending" : "descending");
      look();
    });
    head.replaceChildren(button);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  search.addEventListener("input", look);
  chosen.forEach(({ select }) => select.addEventListener("change", look));
  more.addEventListener("click", () => {
    limit += AT_ONCE;
    draw();
  });
  form.append(count);
  table.before(form);
  table.after(more);
  const asked = new URLSearchParams(location.search).get("q");
  if (asked) search.value = asked;
  look();
})();
