CREATE DATABASE appdb;
\connect appdb
CREATE TABLE notes (id bigint GENERATED ALWAYS AS IDENTITY, written_by text DEFAULT system_user, note text NOT NULL);
CREATE ROLE app_readonly LOGIN;
CREATE ROLE app_readwrite LOGIN;
GRANT SELECT ON notes TO app_readonly;
GRANT SELECT, INSERT ON notes TO app_readwrite;
