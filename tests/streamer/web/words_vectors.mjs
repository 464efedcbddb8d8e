// Runs the vectors of the words under node: node words_vectors.mjs WEB_FOLDER VECTORS_FOLDER.
// One line of JSON for each vector that is not passed, and a last one with how many were run.
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { pathToFileURL } from 'node:url';

const [web, vectors] = process.argv.slice(2);
const load = (name) => import(pathToFileURL(`${web}/${name}.js`).href);
const read = (name) => JSON.parse(readFileSync(`${vectors}/${name}.json`, 'utf8'));
const words = await load('words');
const format = await load('format');
const fresh = await load('fresh');
let ran = 0;

/** The page draws the minus sign as −; the vectors are written as the terminal has it. */
const plain = (text) => (typeof text === 'string' ? text.replaceAll('\u2212', '-') : text);
const check = (what, found, wanted) => {
  ran += 1;
  if (!isDeepStrictEqual(plain(found), wanted)) console.log(JSON.stringify({ what, found: found ?? null, wanted }));
};

for (const { event, text, tag, level, tone } of read('events')) {
  const what = JSON.stringify(event);
  check(what, words.text(event), text);
  check(what, words.tag(event), tag);
  check(what, words.level(event), level);
  check(what, words.tone(event), tone);
}
for (const { detail, nearness, ...wanted } of read('stages')) {
  const { stage, name, sign, tone } = words.stageOf(detail);
  check(JSON.stringify(detail), { stage, name, sign, tone }, wanted);
  check(JSON.stringify(detail), words.nearness(words.stageOf(detail), format.known(detail.score)), nearness);
}
const PAGE = { whole_age: 'wholeAge' };
for (const [write, cases] of Object.entries(read('figures'))) {
  for (const [args, text] of cases) check(`${write} ${JSON.stringify(args)}`, format[PAGE[write] ?? write](...args), text);
}
for (const { limit, name, value, of, unit, grade, text } of read('limits')) {
  check(limit, `${words.limitAmount(limit, value, unit)} of ${words.limitAmount(limit, of, unit)}`, text);
  check(limit, words.limitName(limit), name);
  check(limit, words.limitGrade(value, of), grade);
}
const graded = ({ word, grade, age, detail }) => [word, grade, age, detail];
const freshness = read('freshness');
for (const { status, badge, ...facts } of freshness.terminal) {
  check(JSON.stringify(facts), graded(fresh.gradeTerminal(status, facts)), badge);
}
for (const { status, badge, loading, ...facts } of freshness.bot) {
  if (!loading) check(JSON.stringify(status), graded(fresh.gradeBot(status, facts)), badge);
}
for (const { badge, screen, ...facts } of freshness.feed) {
  if (!screen) check(JSON.stringify(facts), graded(fresh.gradeFeed(facts)), badge);
}
check('the minus sign of the page', format.number(-1).charCodeAt(0) === 0x2212, true);
console.log(JSON.stringify({ ran }));
