// The pages stand in a frame of Airflow's UI: take its colour scheme, and open what belongs to the whole window there.
(() => {
  const own = document.documentElement;
  // Evidence is dated in UTC. Where people look for "when was that here", the zone that they chose in Airflow stands beside it.
  let zone = "UTC";
  try { zone = JSON.parse(localStorage.getItem("timezone")) || "UTC"; } catch { zone = "UTC"; }
  if (zone === "local") zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const localise = (part) => {
    if (zone === "UTC" || !part) return;
    let form = null;
    try { form = new Intl.DateTimeFormat("sv-SE", { timeZone: zone, dateStyle: "short", timeStyle: "short" }); } catch { return; }
    for (const time of part.querySelectorAll("time[datetime]")) {
      const words = document.createElement("span");
      words.className = "soft here";
      words.textContent = ` (${form.format(new Date(time.dateTime))} ${zone})`;
      time.after(words);
    }
  };
  // Live parts are read again in place: what a person typed, chose or reads with the keyboard stays.
  const renew = window.renew = async (id) => {
    const part = document.getElementById(id);
    if (document.hidden || !part || part.contains(document.activeElement)) return;
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok) throw new Error(answer.status);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(id);
    if (!fresh || part.contains(document.activeElement)) return;
    localise(fresh);
    part.replaceWith(fresh);
  };
  const tell = window.tell = (id) => {
    const place = document.querySelector(`#${id} [role="status"]`);
    if (place && !place.dataset.told) place.append(" · These lines could not be renewed: reload the page.");
    if (place) place.dataset.told = "yes";
  };
  addEventListener("DOMContentLoaded", () => {
    for (const id of ["live", "state", "times"]) localise(document.getElementById(id));
    for (const part of document.querySelectorAll("[data-live]")) setInterval(() => renew(part.id).catch(() => tell(part.id)), 1000 * part.dataset.live);
  });
  // A run is started by Airflow's own API, under the person's own permissions.
  addEventListener("submit", async (event) => {
    const form = event.target.closest("form[data-dag]");
    if (!form) return;
    event.preventDefault();
    const place = form.querySelector("[role=status]"), button = form.querySelector("button");
    const runs = `${form.dataset.airflow}/dags/${form.dataset.dag}/runs/`;
    const conf = Object.fromEntries([...new FormData(form)].filter(([, value]) => value));
    button.disabled = true;
    try {
      const answer = await fetch(`${form.dataset.airflow}/api/v2/dags/${form.dataset.dag}/dagRuns`, {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ logical_date: null, conf }),
      });
      const told = await answer.json();
      if (!answer.ok) throw new Error(typeof told.detail === "string" ? told.detail : `Airflow answered ${answer.status}`);
      const way = document.createElement("a");
      way.href = runs + encodeURIComponent(told.dag_run_id);
      way.target = "_top";
      way.textContent = "Started: open the run";
      place.replaceChildren(way);
    } catch (error) {
      place.textContent = `Not started: ${error.message}`;
      button.disabled = false;
    }
  });
  let outer = null;
  try { outer = window.parent === window ? null : window.parent.document; } catch { outer = null; }
  if (!outer) return;
  const follow = () => {
    const names = outer.documentElement.classList;
    own.dataset.theme = names.contains("dark") ? "dark" : names.contains("light") ? "light" : "";
  };
  follow();
  new MutationObserver(follow).observe(outer.documentElement, { attributes: true, attributeFilter: ["class"] });
  // The frame's sandbox does not let a link navigate the window; a link of the window itself may.
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[target="_top"]');
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const way = outer.createElement("a");
    way.href = link.href;
    outer.body.append(way);
    way.click();
    way.remove();
  });
})();
