package store

// acceptScript takes in events, each of them whole or not at all, one after the other.
// Calling Redis is what costs most in a script: what can be written for all of them
// together is.
//
//	KEYS   1 due   2 due messages   3 events   4 dead   5 when which lock was opened
//	ARGV   1 now   2 what every key starts with   3 dedup TTL ms   4 letter TTL ms
//	       5 events kept   6 our name   7 how long it is remembered when a lock was
//	       opened, ms   8 how many jobs may wait ("" any number)   9 how long, ms (""
//	       any time)   10 since when we work, ms   11.. events, each of
//	       0 how many that are   1 letters: f fatal, r would grant too much,
//	       t version is a time in µs, c cancelled, b of a booking, m a new job is a
//	       message, o of what happens to doorhook itself   2 job name   3 key of its identity ("" has none)   4 received µs,
//	       revision of the rules and event id, with spaces   5 record
//	       and then whatever there is of: v version · w rule, what it wants · o lock
//	       that somebody opened, when, ms · g trigger, how many actions it may be
//	       granted in a minute · u undecided rule · l name and text of a letter ·
//	       d name of a letter that it replays · p of a replay, how many changes the
//	       job may have had, where the event stood in the list of events when it came ("" is
//	       not known) · i job id, if the name is not it
//	gives  now, the lanes in which a job came due, and of each event, with spaces:
//	       status, changes, its job ("=" the one that it asked for, "" none). The status
//	       error has the reason in the place of the job
//
// A job's hash: head id (if its name is not it) behind (changes that no worker has let it
// go after) unversioned (as its newest event, while its version is another's) place (of
// one that was replayed: where it stood when it came) cancelled
// tombstone token lease since lane letters sent have attempts, and want:<rule> for each
// rule that wants something: a sum and the actions. Of these, letters says that rules left
// some of the event, and sent that the job is in the list of finished messages. The head
// has what every job has, with spaces: changes, version ("-" none), the record and of the
// newest event when it was accepted, ms, and received, µs, revision and event id. A field
// costs 60 bytes beside what it says, and hundreds of thousands of jobs may wait.
var acceptScript = newScript(luaTime + luaDueNow + luaLetters + luaGrants + luaOpened + `
local ARGV, call = ARGV, redis.call
local events, dead, prefix, now = KEYS[3], KEYS[4], ARGV[2], text(ms)
local due = {[""] = KEYS[1], messages = KEYS[2]}
local first = {[""] = {"inf", anchor}, messages = {"inf", anchor}} -- of each lane, what comes due: score and name
local came = {}                          -- when which lock was opened
local listed = false                     -- whether the list of events was cut to its length

-- What is broken is so before anything is written.
for _, key in ipairs({KEYS[1], KEYS[2], dead}) do call("ZCARD", key) end
call("XLEN", events)

-- The event in hand, and how often its job had changed; nil if there is none.
local at, stop, is, name, id, job, seen, head, exists
local version, replay, place, lock, opened, limit, grants, wants, undecided, letters, replays

local function add(list, n)
  list = list or {}
  for i = 1, n do list[#list + 1] = ARGV[at + i] end
  at = at + n + 1
  return list
end

local kinds, nothing = {}, {}
local function kindOf(flags)
  local kind = kinds[flags]
  if not kind then
    kind = {}
    for letter in string.gmatch(flags, ".") do kind[letter] = true end
    kinds[flags] = kind
  end
  return kind
end

local function read(from)
  at, stop = from, from + tonumber(ARGV[from])
  is, name, seen, head, exists = kindOf(ARGV[at + 1]), ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], nil
  id, job = name, prefix .. "job:" .. name
  version, replay, place, lock, limit, wants, undecided, letters, replays = nil, nil, nil, nil, nil, nil, nil, nil, nil
  at = at + 6
  while at < stop do
    local o = ARGV[at]
    if o == "w" then wants = add(wants, 2)
    elseif o == "l" then letters = add(letters, 2)
    elseif o == "d" then replays = add(replays, 1)
    elseif o == "u" then undecided = add(undecided, 1)
    elseif o == "o" then
      lock, opened = ARGV[at + 1], ARGV[at + 2]
      at = at + 3
    elseif o == "g" then
      grants, limit = prefix .. "grants:" .. ARGV[at + 1], tonumber(ARGV[at + 2])
      at = at + 3
    elseif o == "p" then
      replay, place = ARGV[at + 1], ARGV[at + 2]
      at = at + 3
    else
      if o == "v" then version = ARGV[at + 1] else id = ARGV[at + 1] end
      at = at + 2
    end
  end
  return stop
end

-- Work that waits, and not for its time: whoever is cancelled goes first, with a score
-- in seconds, and is of no age. What came due while nobody worked is as old as our work.
local busy = {}
local function tooMuch(lane)
  if busy[lane] == nil then
    local most, age = tonumber(ARGV[8]), tonumber(ARGV[9])
    busy[lane] = most and call("ZCOUNT", due[lane], "-inf", now) >= most
      or age and ms - tonumber(ARGV[10]) > age and #call("ZRANGEBYSCORE", due[lane], firstScore, text(ms - age), "LIMIT", 0, 1) > 0
      or false
  end
  return busy[lane]
end

-- record lists the event, and gives its place there. Whatever became of it, somebody was
-- there who opened a lock.
local function record(status, left, text)
  if lock then
    local last = came[lock]
    if not last or #opened > #last or #opened == #last and opened > last then came[lock] = opened end
  end
  local became = status .. " " .. now .. " " .. left
  if listed then return call("XADD", events, "*", "head", became, "record", text) end
  listed = true
  return call("XADD", events, "MAXLEN", "~", ARGV[5], "*", "head", became, "record", text)
end

-- known notes that the event came, unless it is known already: then it gives the job that
-- it left.
local function known(left)
  if seen == "" then return nil end
  if replay then
    call("SET", prefix .. seen, left, "PX", ARGV[3])
    return nil
  end
  if call("SET", prefix .. seen, left, "NX", "PX", ARGV[3]) then return nil end
  return call("GET", prefix .. seen)
end

local function duplicate(left)
  local changes = left == id and (exists or string.match(call("HGET", job, "head") or "", "^%d+")) or "0"
  return "duplicate " .. changes .. " " .. left
end

local function refused(status)
  local left = seen ~= "" and not replay and call("GET", prefix .. seen)
  return left and duplicate(left) or status
end

-- keep notes in letters where their event stood when it came: unlike a time, that never
-- goes back.
local function keep(stood)
  for _, name in ipairs(replays or {}) do
    call("DEL", prefix .. "letter:" .. name)
    call("ZREM", dead, name)
  end
  for i = 2, #(letters or {}), 2 do
    letters[i] = '{"place":"' .. (place or stood) .. '",' .. string.sub(letters[i], 2)
  end
  if letters then keepLetters(dead, prefix .. "letter:", letters, ARGV[4]) end
end

local function accept(entry)
  if lock then call("HLEN", KEYS[5]) end -- as above, for those alone that have something to note there
  if is.f then
    keep(record("failed", "", entry))
    return "failed 0 "
  end

  -- An event that asks for nothing now, and has no booking, changes nothing that it asked
  -- for before it was forgotten.
  local cancelled, lane, idle = is.c, is.m and "messages" or "", not is.c and not wants and not undecided
  if idle and not is.b and not is.r and not replay then
    local left = known("")
    if left then return duplicate(left) end
    keep(record("ignored", "", entry))
    return "ignored 0 "
  end

  local old = nothing
  local latest
  local heading = call("HGET", job, "head")
  if heading then
    exists, latest = string.match(heading, "^(%d+) (%S+)")
    old = call("HMGET", job, "behind", "tombstone", "token", "lease", "have", "cancelled", "lane")
    lane = old[7] or ""
  end

  if is.r then
    local left = seen ~= "" and not replay and call("GET", prefix .. seen)
    if left then return duplicate(left) end -- it was taken in meanwhile
    keep(record("failed", exists and id or "", entry))
    return exists and "failed " .. exists .. " =" or "failed 0 "
  end

  -- A replay was planned from what the job was then.
  if replay and (exists or "0") ~= replay then return "stale " .. (exists or "0") .. " =" end

  -- A cancellation without a version left a tombstone: nothing says that an event with
  -- a version is newer than it, unless the version itself does.
  local stale, v, newest, removed = false, version and tonumber(version), tonumber(latest or ""), tonumber(old[2] or "")
  if v and removed then
    if is.t then stale = v <= removed else stale = not (newest and v > newest) end
  elseif v and newest then
    -- Of two with one version, created and cancelled within one second perhaps, the
    -- cancellation counts.
    stale = v < newest or (v == newest and old[6] and not cancelled)
  end
  if stale then
    local left = known(id)
    if left then return duplicate(left) end
    record("stale", id, entry)
    return "stale " .. (exists or "0") .. " ="
  end

  if not (idle or exists or cancelled or replay or is.o) and tooMuch(lane) then return refused("busy") end

  -- What a rule asks for is granted if the job does not want just that already.
  local granted = 0
  if limit and wants then
    for i = 1, #wants, 2 do
      local sum, n = string.match(wants[i + 1], "^(%x+ (%d+)) ")
      local had = exists and call("HGET", job, "want:" .. wants[i]) or ""
      if string.match(had, "^%x+ %d+") ~= sum then granted = granted + tonumber(n) end
    end
    if beyond(grants, granted, limit) then return refused("limited") end
  end

  local left = known(id)
  if left then return duplicate(left) end

  local drop, hadWant = {}, false
  if exists then
    local stays = {}
    for i = 1, #(wants or {}), 2 do stays["want:" .. wants[i]] = true end
    for _, rule in ipairs(undecided or {}) do stays["want:" .. rule] = true end
    for _, field in ipairs(call("HKEYS", job)) do
      if string.sub(field, 1, 5) == "want:" then
        hadWant = true
        if cancelled or not stays[field] then drop[#drop + 1] = field end
      end
    end
  end
  local status = idle and not hadWant and not old[5] and "ignored" or "accepted"

  local changes, behind = "1", "1"
  if exists then changes, behind = text(tonumber(exists) + 1), text((tonumber(old[1] or "") or 0) + 1) end
  local stood = record(status, id, entry)
  heading = changes .. " " .. (version or latest or "-") .. " " .. stood .. " " .. now .. " " .. head
  local set = {"head", heading, "behind", behind}
  local function put(field, value) set[#set + 1], set[#set + 2] = field, value end
  local function clear(field) if exists then drop[#drop + 1] = field end end
  if id ~= name then put("id", id) end
  if newest and not v then put("unversioned", "1") else clear("unversioned") end
  if replay then put("place", place) else clear("place") end
  if cancelled then put("cancelled", "1") else clear("cancelled") end
  if cancelled and not v then
    put("tombstone", replay and string.match(head, "^%d+") or text(us))
  else
    clear("tombstone")
  end
  if lane == "messages" then
    put("lane", lane)
    if letters then put("letters", "1") else clear("letters") end
    clear("sent")
  end
  if wants and not cancelled then
    for i = 1, #wants, 2 do put("want:" .. wants[i], wants[i + 1]) end
  end
  call("HSET", job, unpack(set))
  if #drop > 0 then call("HDEL", job, unpack(drop)) end
  if granted > 0 then grant(grants, granted, limit) end
  if exists then call("PERSIST", job) end -- it may have been on its way out

  -- In hand, its score is the end of the lease: an earlier one would give the job to a
  -- second worker.
  if (old[3] or "") == "" or tonumber(old[4]) <= ms then
    local names = first[lane]
    names[#names + 1], names[#names + 2] = cancelled and dueNow(true) or now, name
  end
  keep(stood)
  return status .. " " .. changes .. " ="
end

local out, from = {text(us), ""}, 11
while from <= #ARGV do
  local entry = ARGV[from + 5]
  from = read(from)
  -- One that cannot be taken in, since its job is broken perhaps, takes no other with it.
  local ok, answer = pcall(accept, entry)
  if not ok then answer = "error 0 " .. errorText(answer) end
  out[#out + 1] = answer
end
noteOpened(KEYS[5], came, ARGV[7])
for lane, names in pairs(first) do
  if #names > 2 then
    -- Waiting, a job keeps an earlier score, or one that is updated all the time would
    -- never come up.
    call("ZADD", due[lane], "LT", unpack(names))
    out[2] = out[2] .. lane .. " "
    redis.pcall("PUBLISH", prefix .. "wake", ARGV[6] .. " " .. lane) -- a hint: whoever may not publish may still accept
  end
end
return out`)
