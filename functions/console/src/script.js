// Keeps the page up to date, and asks before it acts. All that it does is a call of CodePipeline's API, as whoever runs the proxy.
const doc = document, main = doc.getElementById('main'), status = doc.getElementById('live');
const EVERY = 2000, LATE = 10000;
let version = main.dataset.version, busy = null, timer = 0, read = Date.now();
doc.documentElement.classList.add('js');

// Times.
const unit = (ms, large, small, a, b) => {
  const whole = Math.floor(ms / large), rest = Math.floor(ms % large / small);
  return rest ? `${whole} ${a} ${rest} ${b}` : `${whole} ${a}`;
};
const S = 1000, M = 60 * S, H = 60 * M, D = 24 * H;
const took = ms => ms < 0 ? '0 s' : ms < 10 * S ? `${Math.floor(ms / S)}.${Math.floor(ms % S / 100)} s`
  : ms < M ? `${Math.floor(ms / S)} s` : ms < H ? unit(ms, M, S, 'm', 's') : ms < D ? unit(ms, H, M, 'h', 'm') : unit(ms, D, H, 'd', 'h');
const ago = ms => ms < M ? 'just now' : ms < H ? `${Math.floor(ms / M)} min ago` : ms < D ? `${Math.floor(ms / H)} h ago` : `${Math.floor(ms / D)} d ago`;
const say = (node, words) => { if (node.textContent !== words) node.textContent = words; };
const tick = () => {
  if (doc.hidden) return;
  const now = Date.now();
  for (const it of doc.querySelectorAll('time[data-since]')) say(it, took(Math.floor((now - Date.parse(it.dateTime)) / S) * S).replace('.0 s', ' s'));
  for (const it of doc.querySelectorAll('time[data-ago]')) say(it, ago(now - Date.parse(it.dateTime)));
};

// Putting what is new in place of what was there: nodes that stay keep focus, scroll and what is open in them.
const key = node => node.nodeType === 1 ? node.id || node.dataset.k || '' : '';
const same = (one, other) => one.nodeType === other.nodeType && one.nodeName === other.nodeName && key(one) === key(other);
const into = (have, want) => {
  if (have.nodeType !== 1) { if (have.data !== want.data) have.data = want.data; return; }
  if (have.nodeName === 'NOSCRIPT' || 'keep' in want.dataset) return;
  for (const { name } of [...have.attributes]) {
    if (!want.hasAttribute(name) && !(name === 'open' && have.nodeName === 'DETAILS')) have.removeAttribute(name);
  }
  for (const { name, value } of want.attributes) if (have.getAttribute(name) !== value) have.setAttribute(name, value);
  if (have.nodeName === 'TIME') tick(); else if (!have.dataset.log) children(have, want);
};
const children = (from, to) => {
  const known = new Map([...from.children].filter(key).map(node => [key(node), node]));
  const wanted = new Set([...to.children].map(key).filter(Boolean));
  let at = from.firstChild;
  for (const want of [...to.childNodes]) {
    const found = key(want) ? known.get(key(want)) : null;
    while (!found && at && key(at) && !wanted.has(key(at))) { const gone = at; at = at.nextSibling; gone.remove(); }
    const have = found && same(found, want) ? found : at && same(at, want) ? at : null;
    // What is moved loses what is selected in it: what stands before it and is no more goes instead.
    while (found && have === found && at && at !== found && !key(at)) { const gone = at; at = at.nextSibling; gone.remove(); }
    if (!have) { from.insertBefore(want, at); continue; }
    if (have !== at) (from.moveBefore || from.insertBefore).call(from, have, at);
    into(have, want);
    at = have.nextSibling;
  }
  while (at) { const gone = at; at = at.nextSibling; gone.remove(); }
};

// Looking whether anything is new.
const utc = ms => new Date(ms).toISOString().slice(11, 19) + ' UTC';
const look = async all => {
  const headers = { 'x-millrace-live': '1' };
  if (!all && version) headers['if-none-match'] = version;
  const answer = await fetch(location.href, { headers, cache: 'no-store', redirect: 'error', signal: AbortSignal.timeout(20000) });
  if (answer.status === 200) {
    const fresh = doc.createElement('template');
    fresh.innerHTML = await answer.text();
    version = answer.headers.get('etag');
    children(main, fresh.content);
    tick();
  } else if (answer.status !== 304) {
    throw new Error([401, 403].includes(answer.status) ? 'your session has expired, or you may no longer see this: load the page again' : `the page answers with ${answer.status}`);
  }
};

// The log of the action in the panel: read as whoever runs the proxy, and followed while the action runs.
const BATCHES = 20, READS = 3;
let log = null;
const write = (box, { lines, fresh, said }) => {
  const pre = box.querySelector('pre'), atEnd = pre.scrollTop + pre.clientHeight > pre.scrollHeight - 8;
  if (fresh) pre.replaceChildren();
  if (lines && lines.length) pre.append(lines.join('\n') + '\n');
  while (pre.childNodes.length > BATCHES) pre.firstChild.remove();
  pre.hidden = !pre.firstChild;
  if (fresh || atEnd) pre.scrollTop = pre.scrollHeight;
  say(box.querySelector('p'), said || (pre.hidden ? 'Nothing was written yet.' : ''));
};
const follow = async () => {
  const box = doc.querySelector('[data-log]');
  if (!box) return;
  if (!log || log.box !== box) log = { box, after: '', next: 0, left: READS };
  const mine = log, now = Date.now();
  if (doc.hidden || now < mine.next) return;
  mine.next = Infinity;
  // Some lines arrive only when it has ended: it is read until there was nothing new a few times.
  let isNew = 'runs' in box.dataset;
  try {
    const answer = await fetch(box.dataset.log + (mine.after && `?after=${encodeURIComponent(mine.after)}`), { cache: 'no-store', redirect: 'error', signal: AbortSignal.timeout(20000) });
    if (answer.status === 200) {
      const told = await answer.json();
      write(box, told);
      mine.after = told.after || mine.after;
      isNew ||= !told.said;
      mine.next = now + (told.said ? LATE : EVERY);
    } else if (answer.status === 204) {
      mine.next = now + EVERY;
    } else {
      throw new Error(`the proxy answers with ${answer.status}`);
    }
  } catch (error) {
    write(box, { said: `The log cannot be read: ${error.message}` });
    mine.next = now + LATE;
  }
  mine.left = isNew ? READS : mine.left - 1;
  if (!mine.left) mine.next = Infinity;
};
const refresh = all => {
  if (busy && !all) return busy;
  const before = busy || Promise.resolve();
  busy = before.then(() => look(all)).then(() => {
    read = Date.now(); status.classList.remove('late'); say(status, 'up to date'); follow(); return true;
  }, error => {
    status.classList.add('late'); say(status, `not up to date since ${utc(read)}: ${error.message}`); return false;
  }).finally(() => { busy = null; });
  return busy;
};
const next = fine => { clearTimeout(timer); timer = setTimeout(run, fine ? EVERY : LATE); };
const run = async () => { if (version && !doc.hidden) next(await refresh()); };
doc.addEventListener('visibilitychange', () => { clearTimeout(timer); if (!doc.hidden) { tick(); run(); } else say(status, 'paused'); });
setInterval(tick, 1000);
tick();
follow();
next(true);

// Links that only choose what is shown on this page.
const chosen = async () => {
  await refresh(true);
  const panel = doc.getElementById(location.hash.slice(1)) || doc.getElementById('panel');
  if (panel) { panel.scrollIntoView({ block: 'nearest' }); panel.focus({ preventScroll: true }); }
};
doc.addEventListener('click', event => {
  const link = event.target.closest('a[data-soft]');
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    history.pushState(null, '', link.href);
    chosen();
  }
  const button = event.target.closest('button[data-op]');
  if (button) ask(button);
  const place = event.target.closest('button.place');
  if (place) select(Number(place.dataset.from), Number(place.dataset.to));
});
addEventListener('popstate', () => refresh(true));

// Acting.
const dialog = doc.getElementById('act'), part = name => doc.getElementById(`act-${name}`);
const make = (tag, set) => Object.assign(doc.createElement(tag), set);
let act = null;
const input = field => {
  if (field.choices) {
    const select = make('select', {});
    for (const [value, words] of field.choices) select.append(make('option', { value, textContent: words }));
    return select;
  }
  if (field.check) return make('input', { type: 'checkbox' });
  return field.lines ? make('textarea', { rows: 3, value: field.value || '' }) : make('input', { value: field.value || '', autocomplete: 'off', spellcheck: false });
};
const ask = async button => {
  const { op, title, words, body, fields, yes } = button.dataset, typed = fields.includes('"typed":true');
  if (typed && !await sound()) return;
  const { of, then } = typed ? button.parentNode.dataset : {};
  act = { op, body, of, then, fields: [] };
  say(part('title'), title); say(part('words'), words); say(part('yes'), yes);
  part('yes').className = button.classList.contains('danger') ? 'danger' : 'main';
  part('told').hidden = true;
  part('yes').disabled = false;
  dialog.classList.toggle('wide', typed);
  const box = part('fields');
  box.replaceChildren();
  for (const field of JSON.parse(fields)) {
    if (field.typed) {
      const change = make('div', { className: 'change' });
      change.append(...[...doc.getElementById('difference').childNodes].map(it => it.cloneNode(true)));
      for (const it of change.querySelectorAll('[aria-label]')) it.ariaLabel = 'What is to be saved';
      box.append(change);
      act.fields.push([field, editor]);
      continue;
    }
    const label = make('label', { className: field.check ? 'check' : '' }), control = input(field);
    if (field.most) control.maxLength = field.most;
    if (field.pattern) control.pattern = field.pattern;
    control.required = Boolean(field.need);
    const words = make('span', { textContent: field.label });
    label.append(...field.check ? [control, words] : [words, control]);
    if (field.hint) label.append(make('small', { textContent: field.hint }));
    box.append(label);
    act.fields.push([field, control]);
  }
  dialog.showModal();
  (box.querySelector('input, select, textarea') || part('no')).focus();
};
const tell = words => { part('told').textContent = words; part('told').hidden = false; };
const filled = () => {
  const body = JSON.parse(act.body);
  for (const [field, control] of act.fields) {
    const value = field.check ? control.checked : field.typed ? JSON.parse(control.value) : control.value;
    if (field.variable) { if (value !== '' || field.need) (body.variables ||= []).push({ name: field.variable, value }); continue; }
    if (field.revision) { if (value) (body.sourceRevisions ||= []).push({ ...field.revision, revisionValue: value }); continue; }
    let at = body;
    for (const step of field.at.slice(0, -1)) at = at[step] ||= {};
    if (value !== '' || field.need || field.empty) at[field.at.at(-1)] = value;
  }
  return body;
};
// Whether the page still offers what was asked: what it stands on may have changed since it was shown.
const offered = ({ op, body }) => [...doc.querySelectorAll('button[data-op]')].some(it => it.dataset.op === op && it.dataset.body === body);
const perform = async () => {
  const mine = act, body = JSON.stringify(filled());
  part('yes').disabled = true;
  try {
    if (await refresh(true) && !offered(mine)) {
      return tell('What this page showed has changed in the meantime, and this can no longer be done. Nothing was changed. Close this and look at how it stands now.');
    }
    const answer = await fetch(`/service/CodePipeline_20150709/operation/${mine.op}`, {
      method: 'POST', body, cache: 'no-store', redirect: 'error', signal: AbortSignal.timeout(35000),
      headers: { 'content-type': 'application/x-amz-json-1.1', 'x-millrace-console': '1', ...mine.of && { 'x-millrace-of-version': mine.of } },
    });
    if (answer.ok && mine.then) { saved = editor.value; location.assign(mine.then); return; }
    if (answer.ok) { dialog.close(); await refresh(true); return; }
    const said = await answer.json().catch(() => ({}));
    const name = String(said.__type || `status ${answer.status}`).split('#').pop(), words = said.message || said.Message || '';
    tell(`${name}: ${words}\n${answer.status < 500 ? 'Nothing was changed.' : 'It may have been done: look before you try again.'}`);
  } catch (error) {
    tell(`No answer has come (${error.message}). It may have been done: look before you try again.`);
  } finally { part('yes').disabled = false; }
};
part('no').addEventListener('click', () => dialog.close());
dialog.querySelector('form').addEventListener('submit', event => { event.preventDefault(); if (!part('yes').disabled) perform(); });
