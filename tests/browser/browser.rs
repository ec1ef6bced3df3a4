//! A browser: chromium by chromedriver.
