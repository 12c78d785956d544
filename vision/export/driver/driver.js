'use strict';

const frame = document.querySelector('iframe');

/** Waits until a function returns a value that is true, and returns that. */
async function until(condition) {
  for (;;) {
    const value = condition();
    if (value) {
      return value;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function page() {
  return frame.contentDocument;
}

async function read(number, name) {
  const response = await fetch(`image-${number}`);
  return new frame.contentWindow.File([await response.blob()], name);
}

function result(article) {
  const failed = article.classList.contains('failure');
  const rows = [...article.querySelectorAll('li')];
  return {
    name: article.querySelector('h2').textContent,
    top: rows.map((row) => [Number(row.dataset.label),
      String(Number(row.querySelector('data').value))]), // as text: JSON has no NaN
    names: rows.map((row) => row.querySelector('.class').textContent),
    failure: failed ? article.lastChild.textContent : '',
  };
}

async function drive() {
  const state = await until(() => page()?.documentElement?.dataset.state);
  if (state !== 'ready') {
    throw new Error(page().getElementById('status').textContent);
  }
  const names = await (await fetch('images.json')).json();
  const transfer = new frame.contentWindow.DataTransfer();
  for (const [number, name] of names.entries()) {
    transfer.items.add(await read(number, name));
  }
  const input = page().getElementById('files');
  input.files = transfer.files;
  input.dispatchEvent(new frame.contentWindow.Event('change', {bubbles: true}));
  const articles = await until(() => {
    const all = page().querySelectorAll('article');
    return all.length === names.length && [...all];
  });
  return articles.reverse().map(result); // the newest stands at the top
}

drive().then((results) => ({results, failure: ''}),
  (error) => ({results: [], failure: error.message})).then((answer) =>
  fetch('answer', {method: 'POST', body: JSON.stringify(answer)}));
