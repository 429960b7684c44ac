// Light or dark: as the system has it, until somebody chooses.

import { find } from "./dom.js";

const YEAR = 31_536_000;

export function watchTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const chosen = document.cookie.match(/(?:^|; )agentd-theme=(light|dark)/)?.[1];
  if (chosen) document.documentElement.dataset.theme = chosen;
  find("#theme").addEventListener("click", () => {
    const now = document.documentElement.dataset.theme || (dark.matches ? "dark" : "light");
    const next = now === "dark" ? "light" : "dark";
    const own = next !== (dark.matches ? "dark" : "light");
    if (own) document.documentElement.dataset.theme = next;
    else delete document.documentElement.dataset.theme;
    // A cookie and no other store, so that the page comes in its colours at once.
    document.cookie = `agentd-theme=${next}; Path=/; SameSite=Strict; Max-Age=${own ? YEAR : 0}`;
  });
}
