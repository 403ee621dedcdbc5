-- interpreter stands for a first line #! of cmd; '' is none. encoding is what cmd is handed over in and what it writes.
ALTER TABLE cron.job ADD interpreter text NOT NULL DEFAULT '', ADD encoding text NOT NULL DEFAULT 'utf-8';
