-- polyvox_limits_v1: the arithmetic of polyvox/limits/accounts.py, in one step for several accounts.
--
-- KEYS[1]  the marker that says that this server has not forgotten the accounts
-- KEYS[2]  the reservation; the other keys are accounts, one each
-- ARGV[1]  "reserve", "settle", or "pay": settle late, unless the accounts were forgotten
-- ARGV[2]  what the marker has to be; "" where nobody could put back what was forgotten
-- ARGV     seven words for each account:
--            kind    "leak", "window" or "total"
--            a b c   leak: seconds of a period; window: its number, start and end, by the caller's
--                    clock. Which window it is is decided by this server's clock.
--            limit
--            amount  what is to be reserved, or was used
--            soft    "1": debited even where it does not fit
--
-- Where accounts were forgotten, "forgotten" is the answer, and only "settle" does anything. Then:
--   "restore"   KEYS[2] is there unless it was forgotten again; of each account, a window's mark and
--               what was used in it. It stands as a field of that name until the account is next used.
--   "restored"  ARGV[3] becomes the marker, unless there is one; the answer is what it is.

local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local OPEN_SECONDS, SETTLED_SECONDS = 86400, 600
local SPARE_SECONDS, LONGEST_SECONDS = 60, 3e8
local RESTORED_SECONDS = 93 * 86400

local function text(number)
  return string.format('%.17g', number)
end

local function mark_now(account)
  if account.kind == 'leak' then
    return now
  elseif account.kind == 'total' then
    return 0
  elseif now >= account.c then
    return account.a + 1
  elseif now < account.b then
    return account.a - 1
  end
  return account.a
end

-- The periods from one mark to another.
local function periods(account, from, to)
  local passed = math.max(0, to - from)
  return account.kind == 'leak' and passed / account.a or passed
end

-- Of what was used by the records no less is used, and what is reserved beside it.
local function recall(account, past)
  local marks = {}
  for mark in pairs(past) do marks[#marks + 1] = mark end
  table.sort(marks)
  local used, before = 0, marks[1]
  for _, mark in ipairs(marks) do
    used = math.max(0, used - account.limit * (mark - before)) + past[mark]
    before = mark
  end
  used = math.max(0, used - account.limit * math.max(0, account.mark - before))
  account.used = math.max(account.used, used + account.held)
  account.recalled = true
end

local function load(place)
  local at = 3 + (place - 1) * 7
  local account = {
    key = KEYS[place + 2],
    kind = ARGV[at],
    a = tonumber(ARGV[at + 1]), b = tonumber(ARGV[at + 2]), c = tonumber(ARGV[at + 3]),
    limit = tonumber(ARGV[at + 4]),
    amount = tonumber(ARGV[at + 5]),
    soft = ARGV[at + 6] == '1',
  }
  local stored, past = {}, {}
  local fields = redis.call('HGETALL', account.key)
  for place = 1, #fields, 2 do
    local restored, value = tonumber(fields[place]), tonumber(fields[place + 1])
    if restored then past[restored] = value else stored[fields[place]] = value end
  end
  account.used = stored.used or 0
  account.held = stored.held or 0
  local present = mark_now(account)
  local mark = stored.mark or present
  local passed = periods(account, mark, present)
  if passed > 0 then
    account.used = math.max(0, account.used - account.limit * passed)
    if passed >= 1 then account.held = 0 end
  end
  -- A window never comes back, when clocks disagree; a leak goes on from any time.
  account.mark = account.kind == 'leak' and present or math.max(mark, present)
  if next(past) then recall(account, past) end
  return account
end

-- For how many seconds there is something to remember; nil: for ever.
local function lifetime(account)
  if account.kind == 'total' or account.limit <= 0 then return nil end
  local debts = account.used / account.limit
  local seconds = debts * account.a
  if account.kind == 'window' then
    seconds = (account.c - account.b) * (1 + math.ceil(debts))
  end
  return math.min(math.ceil(seconds) + SPARE_SECONDS, LONGEST_SECONDS)
end

local function save(account)
  if account.recalled then redis.call('DEL', account.key) end
  redis.call('HSET', account.key,
    'used', text(account.used), 'held', text(account.held), 'mark', text(account.mark))
  local seconds = lifetime(account)
  if seconds then
    redis.call('EXPIRE', account.key, seconds)
  else
    redis.call('PERSIST', account.key)
  end
end

if ARGV[1] == 'restore' then
  for place = 3, #KEYS do
    local mark, used = ARGV[place * 2 - 3], ARGV[place * 2 - 2]
    if tonumber(redis.call('HGET', KEYS[place], mark) or '0') < tonumber(used) then
      redis.call('HSET', KEYS[place], mark, used)
    end
    -- Those of a limit in total, whose mark is 0, stay.
    if mark ~= '0' then redis.call('EXPIRE', KEYS[place], RESTORED_SECONDS) end
  end
  return { 'restored' }
elseif ARGV[1] == 'restored' then
  if redis.call('EXISTS', KEYS[2]) == 0 then return { 'forgotten' } end
  redis.call('SET', KEYS[1], ARGV[3], 'NX')
  redis.call('DEL', KEYS[2])
  return { redis.call('GET', KEYS[1]) }
end

local accounts = {}
local answer = { text(now) }

if ARGV[2] ~= '' and redis.call('GET', KEYS[1]) ~= ARGV[2] then
  answer = { 'forgotten' }
  if ARGV[1] ~= 'settle' then return answer end
end

if ARGV[1] == 'reserve' then
  if redis.call('EXISTS', KEYS[2]) == 1 then return answer end
  local refused = false
  for place = 1, #KEYS - 2 do
    local account = load(place)
    accounts[place] = account
    if account.amount > 0 and account.used + account.amount > account.limit then
      refused = refused or not account.soft
      answer[#answer + 1] = text(place - 1)
      answer[#answer + 1] = text(account.used)
      answer[#answer + 1] = text(account.held)
    end
  end
  if refused then return answer end
  local record = {}
  for _, account in ipairs(accounts) do
    account.used = account.used + account.amount
    account.held = account.held + account.amount
    save(account)
    record[#record + 1] = text(account.amount)
    record[#record + 1] = text(account.mark)
  end
  redis.call('SET', KEYS[2], table.concat(record, ' '), 'EX', OPEN_SECONDS)
  return answer
end

local record = redis.call('GET', KEYS[2])
if record == 'settled' then return answer end
local numbers = {}
for number in string.gmatch(record or '', '%S+') do
  numbers[#numbers + 1] = tonumber(number)
end
for place = 1, #KEYS - 2 do
  local account = load(place)
  -- A reservation that was lost reserved nothing.
  local reserved = numbers[2 * place - 1] or 0
  local passed = periods(account, numbers[2 * place] or account.mark, account.mark)
  if passed < 1 then account.held = math.max(0, account.held - reserved) end
  local unused = reserved - account.amount
  if unused > 0 then unused = math.max(0, unused - account.limit * passed) end
  account.used = math.max(0, account.used - unused)
  save(account)
end
redis.call('SET', KEYS[2], 'settled', 'EX', SETTLED_SECONDS)
return answer
