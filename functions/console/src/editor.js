// Editing a definition: what is typed is checked when the typing pauses, and nothing is saved that has not been. Behind script.js, in
// the same function.
const editor = doc.getElementById('text'), found = doc.getElementById('found'), PAUSE = 300;
let saved = editor.value, checked = saved, pause = 0, checking = null;
const inspect = async () => {
const text = editor.value;
const answer = await fetch(editor.dataset.check, {
  method: 'POST', body: text, cache: 'no-store', redirect: 'error', signal: AbortSignal.timeout(20000), headers: { 'x-millrace-console': '1' },
});
const fresh = doc.createElement('template');
fresh.innerHTML = await answer.text();
if (!answer.ok) throw new Error(fresh.content.querySelector('h1')?.textContent || `the answer is ${answer.status}`);
children(found, fresh.content);
found.classList.remove('old');
checked = text;
};
const check = () => {
clearTimeout(pause);
checking ||= inspect().catch(error => {
  found.classList.add('old');
  say(doc.getElementById('verdict'), `This could not be checked: ${error.message}`);
}).finally(() => { checking = null; });
return checking;
};
// Whether what is typed has been checked, and nothing is wrong.
const sound = async () => {
await checking;
if (checked !== editor.value) await check();
const verdict = doc.getElementById('verdict'), is = checked === editor.value && verdict.dataset.faults === '0';
if (!is) { verdict.focus(); verdict.scrollIntoView({ block: 'nearest' }); }
return is;
};
const rows = () => parseFloat(getComputedStyle(editor).lineHeight);
const select = (from, to) => {
editor.focus();
editor.setSelectionRange(from, to);
editor.scrollTop = rows() * (editor.value.slice(0, from).split('\n').length - 4);
};
const number = () => {
const numbers = doc.getElementById('numbers');
say(numbers, editor.value.split('\n').map((_, at) => at + 1).join('\n'));
numbers.scrollTop = editor.scrollTop;
};
{
editor.readOnly = false;
number();
editor.addEventListener('scroll', () => { doc.getElementById('numbers').scrollTop = editor.scrollTop; });
editor.addEventListener('input', () => {
  number();
  found.classList.add('old');
  clearTimeout(pause);
  pause = setTimeout(async () => { await checking; if (checked !== editor.value) check(); else found.classList.remove('old'); }, PAUSE);
});
addEventListener('beforeunload', event => { if (editor.value !== saved) event.preventDefault(); });
}
