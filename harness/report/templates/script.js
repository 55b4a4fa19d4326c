"use strict";
// The page's own script: it switches, filters, copies and saves what is in the file, and asks nothing of anyone.
(() => {
  const root = document.documentElement;
  const page = () => document.getElementById("page");
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const themes = ["", "light", "dark"];

  const remember = (key, value) => { try { localStorage.setItem(key, value); } catch { /* not allowed here */ } };
  const recall = key => { try { return localStorage.getItem(key) ?? ""; } catch { return ""; } };

  const unpack = async packed => {
    const bytes = Uint8Array.from(atob(packed.trim()), char => char.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  };
  const pack = async text => {
    const stream = new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"));
    const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
    let binary = "";
    for (let i = 0; i < bytes.length; i += 32768) binary += String.fromCharCode(...bytes.subarray(i, i + 32768));
    return btoa(binary);
  };

  const setTheme = theme => {
    if (theme) root.dataset.theme = theme; else delete root.dataset.theme;
    const button = document.querySelector('[data-do="theme"]');
    if (button) button.textContent = page().dataset.themeNames.split("|")[themes.indexOf(theme)];
  };

  const markdown = table => {
    const rows = all("tr", table).map(row => [...row.cells].flatMap(cell =>
      [cell.textContent.replace(/\s+/g, " ").trim().replaceAll("|", "\\|"), ...Array(cell.colSpan - 1).fill("")]));
    if (!rows.length) return "";
    const line = cells => `| ${cells.join(" | ")} |`;
    return [line(rows[0]), line(rows[0].map(() => "---")), ...rows.slice(1).map(line)].join("\n") + "\n";
  };

  const copy = async text => {
    try { await navigator.clipboard.writeText(text); } catch {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
  };

  const save = (text, name) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };

  // A heading whose every row or chart is filtered out goes, too.
  const filter = words => {
    const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = text => wanted.every(word => text.toLowerCase().includes(word));
    for (const device of all(".device, .findings")) {
      const place = device.querySelector("h3, h4")?.textContent ?? "";
      for (const body of all("tbody", device)) {
        const model = body.querySelector(".model")?.textContent ?? "";
        for (const row of all("tr:not(.model)", body)) row.classList.toggle("hidden", !fits(`${place} ${model} ${row.textContent}`));
        body.classList.toggle("hidden", !body.querySelector("tr:not(.model):not(.hidden)"));
      }
      for (const item of all("figure, dl > div", device)) {
        const said = item.querySelector("svg")?.getAttribute("aria-label") ?? "";
        item.classList.toggle("hidden", !fits(`${place} ${item.textContent} ${said}`));
      }
      device.classList.toggle("hidden", wanted.length > 0 && !device.querySelector("tbody:not(.hidden), figure:not(.hidden), dl > div:not(.hidden)"));
    }
    for (const item of all(".trouble, .advice, .artifact")) item.classList.toggle("hidden", !fits(item.textContent));
  };

  const reveal = () => {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    if (target) target.scrollIntoView();
  };

  let watcher = null;
  const dress = () => {
    for (const region of all(".scroll")) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "copy";
      button.dataset.do = "copy";
      button.textContent = page().dataset.copy;
      button.setAttribute("aria-label", `${page().dataset.copy}: ${region.getAttribute("aria-label")}`);
      region.before(button);
    }
    watcher?.disconnect();
    watcher = new IntersectionObserver(entries => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        for (const link of all("nav a")) {
          if (link.hash === `#${entry.target.id}`) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current");
        }
      }
    }, { rootMargin: "-10% 0px -80% 0px" });
    for (const section of all("main > section")) watcher.observe(section);
    document.title = page().dataset.title;
    setTheme(root.dataset.theme ?? "");
  };

  const toLanguage = async tag => {
    const other = document.querySelector(`script[data-page="${CSS.escape(tag)}"]`);
    if (!other) return;
    const html = await unpack(other.textContent);
    const now = page();
    const at = all("main > section").findLast(section => section.getBoundingClientRect().top < 120)?.id;
    for (const button of all(".copy")) button.remove();
    const parsed = new DOMParser().parseFromString(html, "text/html").getElementById("page");
    // Charts without words are in the file once, and move over.
    const places = new Map(all("[data-of]", parsed).map(place => [place.dataset.of, place]));
    for (const chart of all("svg[data-t]", now)) {
      const place = places.get(chart.dataset.t);
      chart.replaceWith(place.cloneNode());
      place.replaceWith(chart);
    }
    const kept = await pack(now.outerHTML);
    other.textContent = kept;
    other.dataset.page = now.lang;
    now.replaceWith(document.adoptNode(parsed));
    root.lang = tag;
    dress();
    if (at) document.getElementById(at)?.scrollIntoView({ behavior: "instant" });
  };

  const actions = {
    theme: () => {
      const next = themes[(themes.indexOf(root.dataset.theme ?? "") + 1) % themes.length];
      remember("theme", next);
      setTheme(next);
    },
    language: async button => {
      remember("language", button.dataset.tag);
      await toLanguage(button.dataset.tag);
      document.querySelector('[data-do="language"]')?.focus({ preventScroll: true });
    },
    data: async () => save(await unpack(document.getElementById("data").textContent), page().dataset.file),
    print: () => window.print(),
    copy: async button => {
      await copy(markdown(button.nextElementSibling.querySelector("table")));
      button.textContent = page().dataset.copied;
      setTimeout(() => { button.textContent = page().dataset.copy; }, 2000);
    },
  };

  document.addEventListener("click", event => {
    const button = event.target.closest?.("button[data-do]");
    if (button) actions[button.dataset.do](button);
  });
  document.addEventListener("input", event => { if (event.target.matches(".filter")) filter(event.target.value); });
  addEventListener("hashchange", reveal);
  addEventListener("beforeprint", () => { for (const details of all("details.brief")) details.open = true; });

  root.classList.add("js");
  const theme = recall("theme");
  if (themes.includes(theme)) setTheme(theme);
  dress();
  reveal();
  // The reader's choice holds on every page of a site.
  const tag = recall("language");
  if (tag && tag !== page().lang) toLanguage(tag).then(reveal);
})();
