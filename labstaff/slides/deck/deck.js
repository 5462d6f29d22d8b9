// Makes every slide fit its page, then starts reveal.js.

const WIDTH = 1280, HEIGHT = 720;  // a 16:9 page; the browser scales it
const PICTURE = { most: 520, least: 260 };  // its height
// Letters, against those of the style sheet. Smaller than that nobody in the
// back row reads them.
const LETTERS = { most: 1.2, least: 0.82 };
const COLUMNS = 84;  // of code, as many as a line has at size 1

const slides = () =>
    [...document.querySelectorAll('.slides section')]
        .filter(section => !section.querySelector('section'));

const fits = slide =>
    slide.scrollHeight <= HEIGHT && slide.scrollWidth <= WIDTH;

// A slide without a heading repeats that of its section, small.
function nameSection(slide) {
    const heading = slide.parentElement.querySelector('h1, h2, h3');
    if (!heading || slide.querySelector('h1, h2, h3')) return;
    const name = document.createElement('p');
    name.className = 'section-name';
    name.append(...heading.cloneNode(true).childNodes);
    slide.prepend(name);
}

// The letters of a slide; those of code only as large as its lines allow.
function setSize(slide, size) {
    const lines = [...slide.querySelectorAll('pre')]
        .flatMap(pre => pre.textContent.split('\n'));
    const longest = Math.max(1, ...lines.map(line => line.length));
    const widest = Math.max(1, COLUMNS / longest);
    slide.style.setProperty('--size', size);
    slide.style.setProperty('--code-size', Math.min(size, widest));
}

// Few words become large; where there is much, pictures give way first.
function fit(slide) {
    if (slide.querySelector('img')) {
        for (let height = PICTURE.most;
            !fits(slide) && height >= PICTURE.least; height -= 20) {
            slide.style.setProperty('--picture', `${height}px`);
        }
    } else setSize(slide, LETTERS.most);
    for (let percent = 100 * LETTERS.most;
        !fits(slide) && percent >= 100 * LETTERS.least; percent -= 2) {
        setSize(slide, percent / 100);
    }
}

window.addEventListener('load', async () => {
    await Promise.all([...document.fonts].map(font => font.load()));
    slides().forEach(slide => slide.classList.add('page'));
    slides().forEach(nameSection);
    slides().forEach(fit);
    document.querySelector('.reveal').classList.remove('measured');
    await Reveal.initialize({
        width: WIDTH, height: HEIGHT, margin: 0, minScale: 0.1,
        center: false, hash: true, slideNumber: 'c/t', transition: 'none',
        pdfSeparateFragments: false,
        // The right arrow alone goes through everything, as a clicker does.
        navigationMode: 'linear',
        plugins: [RevealNotes],
    });
});
