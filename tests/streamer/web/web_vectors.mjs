// Runs the reducer's vectors under node: node web_vectors.mjs STATE_JS FOLDER. One line of JSON for each.
import { readFileSync, readdirSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { pathToFileURL } from 'node:url';

/** As in test_state.py: of the bots beside the first each key that the vector names counts. */
const holds = (found, key, wanted) =>
  key !== 'bots'
    ? isDeepStrictEqual(found[key], wanted)
    : isDeepStrictEqual(Object.keys(found.bots), Object.keys(wanted)) &&
      Object.entries(wanted).every(([name, parts]) =>
        Object.entries(parts).every(([part, value]) => holds(found.bots[name], part, value)),
      );

const [code, folder] = process.argv.slice(2);
const { FeedState } = await import(pathToFileURL(code).href);

for (const name of readdirSync(folder).filter((file) => file.endsWith('.json'))) {
  const vector = JSON.parse(readFileSync(`${folder}/${name}`, 'utf8'));
  const state = new FeedState();
  if ('initial' in vector) state.load(vector.initial);
  for (const event of vector.events) state.apply(event);
  const found = JSON.parse(JSON.stringify({ ...state.snapshot(), seq: state.seq, epoch: state.epoch }));
  const wrong = Object.entries(vector.state)
    .filter(([key, value]) => !holds(found, key, value))
    .map(([key, value]) => ({ key, found: found[key], wanted: value }));
  console.log(JSON.stringify({ name, wrong }));
}
